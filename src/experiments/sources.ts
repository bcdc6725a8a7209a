import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { expandPath } from "../data/sources.ts";

/** Paths of all data sources in options: every object with a `path`, however deep. */
function pathsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const own = "path" in value && typeof value.path === "string" ? [value.path] : [];
  return [...own, ...Object.values(value).flatMap(pathsIn)];
}

/** SHA-256 of every data file that options name. Throws `DATA_NOT_FOUND`. */
export async function fileHashes(options: unknown): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const path of new Set(pathsIn(options).flatMap(expandPath))) {
    // A missing file is reported by the run that reads it, with the role it has there.
    if (!existsSync(path)) continue;
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    hashes[path] = hash.digest("hex");
  }
  return hashes;
}
