import { createReadStream, existsSync } from "node:fs";
import { copyFile, link, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import type { Following } from "../train/index.ts";
import type { JsonValue } from "./domain/json.ts";
import { type Principal, SERVER } from "./domain/principal.ts";
import type { BaseFolder } from "./pipeline/base.ts";
import { bundledBase } from "./pipeline/bundled-base.ts";
import type { Base } from "./store/bases.ts";
import type { Store } from "./store/store.ts";

/**
 * The bundled base, known to workers by its blobs. The first start makes it, a later server on another host takes it from there.
 *
 * @throws {BoosterError} `BASE_INVALID` where the name means other weights already
 */
export async function setUpBase(
  store: Store,
  bases: string,
  name: "world-booster" | "world-sft",
  following: Following,
): Promise<Base> {
  const known = await store.bases.get(name);
  // Retired, it stays so: models that stand on it are served on.
  if (known !== undefined) return known;
  await mkdir(bases, { recursive: true, mode: 0o700 });
  return keepBase(store, SERVER, await bundledBase(join(bases, name), name, following));
}

/**
 * Makes a base in a folder known to all servers and workers: its files are blobs.
 *
 * @throws {BoosterError} `BASE_INVALID` where the name means other weights already
 */
export async function keepBase(store: Store, principal: Principal, { folder, card, identity, files }: BaseFolder) {
  const { name } = card;
  const blobs: Record<string, string> = {};
  for (const file of files) blobs[file] = (await store.blobs.put(createReadStream(join(folder, file)))).sha256;
  const facts = { alignment: card.alignment as unknown as JsonValue };
  const base = await store.bases.add(principal, { name, identity, files: blobs, facts });
  if (base !== undefined) return base;
  throw new BoosterError("BASE_INVALID", "this name means a base with other weights already", { found: name });
}

/** The folder of a base by its name; undefined where there is none. */
export async function folderOf(store: Store, bases: string, name: string): Promise<string | undefined> {
  const base = await store.bases.get(name);
  if (base === undefined) return undefined;
  const folder = join(bases, name);
  if (!existsSync(folder)) await materialise(store, base, folder);
  return folder;
}

/** Files of a base by their names; blobs never change, so links are as good as copies. */
async function materialise(store: Store, base: Base, folder: string): Promise<void> {
  const making = `${folder}.${process.pid}`;
  await mkdir(making, { recursive: true, mode: 0o700 });
  for (const [name, sha256] of Object.entries(base.files)) {
    const from = await store.blobs.path(sha256);
    await link(from, join(making, name)).catch(() => copyFile(from, join(making, name)));
  }
  await rename(making, folder).catch(async (error: unknown) => {
    await rm(making, { recursive: true });
    if (!existsSync(folder)) throw error;
  });
}
