/** When the training of a job will be done, as its worker sees it. */
export const estimates = `
alter table jobs add column estimated_finish bigint;
`;
