import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { expandPath } from "../data/sources.ts";

/** SHA-256 of every file that paths and patterns name; a missing one is told by the run that reads it, with the role it has there. */
export async function hashesOfFiles(paths: readonly string[]): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const path of new Set(paths.flatMap(expandPath))) {
    if (!existsSync(path)) continue;
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    hashes[path] = hash.digest("hex");
  }
  return hashes;
}
