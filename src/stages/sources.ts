import { existsSync } from "node:fs";
import { expandPath } from "../data/sources.ts";
import { fileHash } from "../models/source.ts";

/** SHA-256 of every file that paths and patterns name; a missing one is told by the run that reads it, with the role it has there. */
export async function hashesOfFiles(paths: readonly string[]): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const path of new Set(paths.flatMap(expandPath))) {
    if (!existsSync(path)) continue;
    hashes[path] = await fileHash(path);
  }
  return hashes;
}
