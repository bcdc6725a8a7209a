/**
 * Where to tell of jobs that are over, and what is to be told. That is written down by a trigger, in the transaction that ends the job, whatever ends it.
 * `turns`: work that one server does at a time.
 */
export const webhooks = `
create table webhooks (
  id text primary key,
  seq bigint generated always as identity unique,
  project_id text references projects,
  name text not null,
  url text not null,
  events text[] not null,
  secret text not null,
  state text not null default 'active' check (state in ('active', 'gone')),
  created_at bigint not null
);
create table outbox (
  id text primary key,
  seq bigint generated always as identity unique,
  webhook_id text not null references webhooks on delete cascade,
  event_id text not null,
  type text not null,
  job_id text not null references jobs,
  created_at bigint not null,
  state text not null default 'waiting' check (state in ('waiting', 'delivered', 'given_up')),
  tries int not null default 0,
  next_try bigint not null,
  outcome text,
  status int,
  tried_at bigint
);
create index outbox_waiting on outbox (next_try) where state = 'waiting';
create index outbox_of_webhook on outbox (webhook_id, seq desc);
create table turns (
  name text primary key,
  holder text,
  epoch bigint not null default 0,
  beat bigint not null default 0
);
create function job_ended() returns trigger language plpgsql as $$
declare
  event text := 'evt_' || replace(gen_random_uuid()::text, '-', '');
  ended bigint := coalesce(new.finished_at, extract(epoch from now())::bigint);
begin
  insert into outbox (id, webhook_id, event_id, type, job_id, created_at, next_try)
    select 'delivery_' || replace(gen_random_uuid()::text, '-', ''), id, event, 'fine_tuning.job.' || new.status, new.id, ended, ended
    from webhooks where state = 'active' and (project_id is null or project_id = new.project_id)
      and 'fine_tuning.job.' || new.status = any(events);
  return null;
end $$;
create trigger jobs_end after update on jobs for each row when (new.stage = 'done' and old.stage <> 'done') execute function job_ended();
`;
