/** Browsers that signed in with a key. */
export const sessions = `
create table sessions (
  hash text primary key,
  key_id text not null references api_keys,
  created_at bigint not null,
  expires_at bigint not null
);
`;
