import { z } from "zod";
import { columns } from "./output.ts";

/** Keys and projects as the server tells them. */
export const KeyRow = z.object({
  id: z.string(),
  name: z.string(),
  tail: z.string(),
  project_id: z.string().nullable(),
  scopes: z.array(z.string()),
  owner: z.string(),
  revoked_at: z.number().nullable(),
});
export const NewKeyRow = KeyRow.extend({ key: z.string() });

export const ProjectRow = z.object({ id: z.string(), name: z.string(), status: z.string(), policy: z.string() });

/** Keys for people. */
export const keyTable = (keys: readonly z.output<typeof KeyRow>[]): string =>
  columns([
    ["id", "name", "owner", "project", "ends with", "scopes"],
    ...keys.map(({ id, name, owner, project_id, tail, scopes, revoked_at }) => [
      id,
      name,
      owner,
      project_id ?? "the server",
      tail,
      revoked_at === null ? scopes.join(" ") : "revoked",
    ]),
  ]);

export const projectTable = (projects: readonly z.output<typeof ProjectRow>[]): string =>
  columns([
    ["id", "name", "status", "policy"],
    ...projects.map(({ id, name, status, policy }) => [id, name, status, policy]),
  ]);
