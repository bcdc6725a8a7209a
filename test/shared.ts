import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..", process.env.BOOSTER_SHARED ?? "../shared");

/** The folder with development data, models and reference numbers; undefined where it is absent. */
export const shared: string | undefined = existsSync(root) ? root : undefined;

/** A path in the shared folder, or undefined, with the reason printed once, where it does not exist. */
export function sharedPath(...parts: string[]): string | undefined {
  const path = join(root, ...parts);
  if (existsSync(path)) return path;
  console.log(`skipped: ${join("../shared", ...parts)} is absent`);
  return undefined;
}
