/** Blobs that the workers of a job stored: of what they say that it put out, these alone are its own. */
export const jobBlobs = `
create table job_blobs (
  job_id text not null references jobs,
  sha256 text not null,
  primary key (job_id, sha256)
);
insert into job_blobs (job_id, sha256)
  select id, (regexp_matches(outputs::text, '"([0-9a-f]{64})"', 'g'))[1] from jobs where stage <> 'done'
  union select job_id, (regexp_matches(files::text, '"([0-9a-f]{64})"', 'g'))[1] from checkpoints
    where job_id in (select id from jobs where stage <> 'done');
`;
