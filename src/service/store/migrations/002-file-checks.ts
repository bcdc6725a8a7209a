/** What is wrong with training files, by the hash of their content. */
export const fileChecks = `
create table file_checks (
  sha256 text primary key,
  body jsonb not null
);
`;
