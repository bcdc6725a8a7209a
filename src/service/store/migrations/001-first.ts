/** Times are seconds since 1970 by the server's clock, for people; nothing that decides who may write compares them. `seq` gives lists their order. */
export const first = `
create table orgs (
  id text primary key,
  name text not null unique,
  created_at bigint not null
);
create table projects (
  id text primary key,
  seq bigint generated always as identity unique,
  org_id text not null references orgs,
  name text not null,
  status text not null default 'active' check (status in ('active', 'archived')),
  policy text not null default 'default',
  settings jsonb not null default '{}',
  created_at bigint not null,
  archived_at bigint,
  unique (org_id, name)
);
create table api_keys (
  id text primary key,
  seq bigint generated always as identity unique,
  hash text not null unique,
  tail text not null,
  kind text not null check (kind in ('project', 'admin', 'worker')),
  project_id text references projects,
  name text not null,
  scopes text[] not null,
  owner text not null,
  created_at bigint not null,
  expires_at bigint,
  revoked_at bigint,
  last_used_at bigint,
  check (kind <> 'project' or project_id is not null)
);

create table files (
  id text primary key,
  seq bigint generated always as identity unique,
  project_id text not null references projects,
  sha256 text not null,
  bytes bigint not null,
  filename text not null,
  purpose text not null,
  created_at bigint not null,
  expires_at bigint,
  deleted_at bigint
);
create index files_of_project on files (project_id, seq desc) where deleted_at is null;
create table uploads (
  id text primary key,
  project_id text not null references projects,
  bytes bigint not null,
  filename text not null,
  mime_type text not null,
  purpose text not null,
  file_expires_after bigint,
  status text not null default 'pending' check (status in ('pending', 'completed', 'cancelled')),
  file_id text references files,
  created_at bigint not null,
  expires_at bigint not null
);
create table upload_parts (
  id text primary key,
  upload_id text not null references uploads,
  sha256 text not null,
  bytes bigint not null,
  created_at bigint not null
);
create index parts_of_upload on upload_parts (upload_id);

create table bases (
  name text primary key,
  seq bigint generated always as identity unique,
  identity text not null,
  files jsonb not null,
  facts jsonb not null,
  state text not null default 'active' check (state in ('active', 'retired')),
  created_at bigint not null
);
create table policies (
  name text not null,
  version int not null,
  body jsonb not null,
  sha256 text not null,
  created_at bigint not null,
  primary key (name, version)
);

create table jobs (
  id text primary key,
  seq bigint generated always as identity unique,
  project_id text not null references projects,
  model text not null,
  publish_as text not null unique,
  suffix text,
  metadata jsonb,
  spec jsonb not null,
  status text not null check (status in ('validating_files', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  stage text not null check (stage in ('validate', 'moderate', 'train', 'repair', 'evaluate', 'decide', 'held', 'done')),
  wish text check (wish = 'pause'),
  priority int not null default 0,
  worker text,
  epoch bigint not null default 0,
  beat bigint not null default 0,
  crashes int not null default 0,
  step bigint not null default 0,
  next_seq bigint not null default 0,
  error jsonb,
  outputs jsonb not null default '{}',
  result_files text[] not null default '{}',
  fine_tuned_model text,
  created_at bigint not null,
  held_at bigint,
  finished_at bigint,
  check ((stage = 'done') = (status in ('succeeded', 'failed', 'cancelled'))),
  check (worker is null or status in ('validating_files', 'running')),
  check (stage <> 'held' or status = 'running')
);
create index jobs_of_project on jobs (project_id, seq desc);
create index jobs_waiting on jobs (priority desc, seq) where worker is null and status in ('validating_files', 'queued', 'running');
create index jobs_claimed on jobs (project_id) where worker is not null;
create index jobs_held on jobs (seq) where stage = 'held';
create table job_events (
  job_id text not null references jobs,
  seq bigint not null,
  id text not null unique,
  epoch bigint not null,
  level text not null,
  type text not null,
  message text not null,
  data jsonb,
  created_at bigint not null,
  primary key (job_id, seq)
);
create table job_metrics (
  job_id text not null references jobs,
  step bigint not null,
  metrics jsonb not null,
  primary key (job_id, step)
);
create table checkpoints (
  id text primary key,
  seq bigint generated always as identity unique,
  job_id text not null references jobs,
  step bigint not null,
  epoch_end boolean not null,
  files jsonb not null,
  metrics jsonb not null,
  created_at bigint not null,
  unique (job_id, step)
);

create table models (
  id text primary key,
  seq bigint generated always as identity unique,
  project_id text not null references projects,
  job_id text not null references jobs,
  checkpoint_id text references checkpoints,
  base text not null,
  identity text not null,
  files jsonb not null,
  state text not null check (state in ('released', 'withdrawn', 'deleted')),
  reason text,
  facts jsonb not null default '{}',
  created_at bigint not null,
  ended_at bigint,
  unique nulls not distinct (job_id, checkpoint_id)
);
create index models_of_project on models (project_id, seq desc);
create table grants (
  id text primary key,
  seq bigint generated always as identity unique,
  model text not null,
  project_id text not null references projects,
  created_at bigint not null,
  unique (model, project_id)
);
create table reports (
  job_id text primary key references jobs,
  body text not null,
  sha256 text not null,
  signature text not null,
  signed_by text not null,
  verdict text not null check (verdict in ('released', 'held', 'rejected')),
  adapter jsonb not null,
  created_at bigint not null
);
create table decisions (
  id text primary key,
  seq bigint generated always as identity unique,
  job_id text not null references jobs,
  key_id text not null,
  owner text not null,
  verdict text not null check (verdict in ('released', 'rejected')),
  reason text not null,
  report_sha256 text not null,
  created_at bigint not null,
  unique (job_id, owner)
);

create table idempotency (
  scope text not null,
  key text not null,
  request text not null,
  object_id text not null,
  created_at bigint not null,
  primary key (scope, key)
);
create table usage (
  project_id text not null references projects,
  day int not null,
  kind text not null,
  model text not null,
  amount bigint not null,
  primary key (project_id, day, kind, model)
);
create table workers (
  id text primary key,
  host text not null,
  pid int not null,
  version text not null,
  capacity jsonb not null,
  seen_at bigint not null,
  draining boolean not null default false
);

create table audit (
  seq bigint primary key,
  id text not null unique,
  type text not null,
  effective_at bigint not null,
  actor jsonb not null,
  project_id text,
  data jsonb not null,
  previous text not null,
  hash text not null
);
create table audit_head (
  one boolean primary key default true check (one),
  seq bigint not null,
  hash text not null
);
insert into audit_head (seq, hash) values (0, '');
create table audit_seals (
  seq bigint primary key,
  hash text not null,
  sealed_at bigint not null,
  signature text not null,
  signed_by text not null
);
create function append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the table % only grows', tg_table_name using errcode = 'BA001';
end $$;
create trigger audit_grows before update or delete on audit for each row execute function append_only();
create trigger audit_stays before truncate on audit execute function append_only();
create trigger seals_grow before update or delete on audit_seals for each row execute function append_only();
create trigger seals_stay before truncate on audit_seals execute function append_only();
create trigger policies_grow before update or delete on policies for each row execute function append_only();
create trigger policies_stay before truncate on policies execute function append_only();
`;
