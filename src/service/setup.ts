import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonValue } from "./domain/json.ts";
import { PRESETS, type Scope, SERVER } from "./domain/principal.ts";
import { bundledPolicy, loadPolicy } from "./pipeline/policy-file.ts";
import type { Store } from "./store/store.ts";

/** The project that a first start makes. */
const DEFAULT_PROJECT = "default";

/** What the first key may do: it is for one person who tries everything, in the default project and on the server. */
const FIRST_KEY: readonly Scope[] = [...new Set<Scope>([...PRESETS.user, ...PRESETS.owner, "review"])];

/**
 * The policy that the default project is to have from now on: the file that was given, or the bundled one where there is none of its name yet. None: what
 * owners have set since stays.
 */
export async function setUpPolicy(store: Store, path?: string): Promise<string | undefined> {
  const { policy, blobs } = await loadPolicy(path ?? bundledPolicy());
  if (path === undefined && (await store.policies.current(policy.name)) !== undefined) return undefined;
  for (const bytes of blobs.values()) await store.blobs.put(bytes);
  return (await store.policies.set(SERVER, policy.name, policy as unknown as JsonValue)).name;
}

/** The default project; at the first start of all with a key that is shown once. */
export async function setUpProject(
  store: Store,
  policy: string | undefined,
): Promise<{ readonly project: string; readonly firstKey?: string }> {
  const project = await store.projects.create(SERVER, DEFAULT_PROJECT);
  if (policy !== undefined && project.policy !== policy) await store.projects.update(SERVER, project.id, { policy });
  const keys = await store.keys.list(SERVER, { limit: 100, order: "asc" });
  if (keys.data.some(({ kind }) => kind !== "worker")) return { project: project.id };
  const { presented } = await store.keys.create(SERVER, {
    kind: "admin",
    project: project.id,
    name: "first key",
    scopes: FIRST_KEY,
    owner: "owner",
  });
  return { project: project.id, firstKey: presented };
}

/** The token that this server's own workers present, kept in a file that only its user may read. */
export async function workerToken(store: Store, folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "worker.token");
  if (existsSync(path) && "principal" in (await store.keys.find(readFileSync(path, "utf8").trim()))) return path;
  const { presented } = await store.keys.create(SERVER, {
    kind: "worker",
    name: "workers of this server",
    scopes: PRESETS.worker,
    owner: "server",
  });
  writeFileSync(path, `${presented}\n`, { mode: 0o600 });
  return path;
}
