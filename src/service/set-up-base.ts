import { createReadStream, existsSync } from "node:fs";
import { copyFile, link, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import type { Following } from "../train/index.ts";
import type { JsonValue } from "./domain/json.ts";
import { SERVER } from "./domain/principal.ts";
import { bundledBase } from "./pipeline/base.ts";
import type { Base } from "./store/bases.ts";
import type { Store } from "./store/store.ts";

/**
 * The base in a folder, ready to be served, and known to workers by its blobs. The first start makes it, a later server on another host
 * takes it from there.
 *
 * @throws {BoosterError} `BASE_CHANGED` where the name means other weights already
 */
export async function setUpBase(
  store: Store,
  bases: string,
  name: "world-booster" | "world-sft",
  following: Following,
): Promise<{ readonly base: Base; readonly folder: string }> {
  const folder = join(bases, name);
  await mkdir(bases, { recursive: true, mode: 0o700 });
  const known = await store.bases.get(name);
  if (known !== undefined && known.state === "active") {
    if (!existsSync(folder)) await materialise(store, known, folder);
    return { base: known, folder };
  }
  const made = await bundledBase(folder, name, following);
  const files: Record<string, string> = {};
  for (const file of made.files) files[file] = (await store.blobs.put(createReadStream(join(folder, file)))).sha256;
  const base = await store.bases.add(SERVER, {
    name,
    identity: made.identity,
    files,
    facts: { alignment: made.card.alignment as unknown as JsonValue },
  });
  if (base === undefined) {
    throw new BoosterError("BASE_INVALID", "another server has just made this base, with other weights", {
      found: name,
    });
  }
  return { base, folder };
}

/** Files of a base by their names; blobs never change, so links are as good as copies. */
async function materialise(store: Store, base: Base, folder: string): Promise<void> {
  const making = `${folder}.${process.pid}`;
  await mkdir(making, { recursive: true, mode: 0o700 });
  for (const [name, sha256] of Object.entries(base.files)) {
    const from = store.blobs.path(sha256);
    await link(from, join(making, name)).catch(() => copyFile(from, join(making, name)));
  }
  await rename(making, folder).catch(async (error: unknown) => {
    await rm(making, { recursive: true });
    if (!existsSync(folder)) throw error;
  });
}
