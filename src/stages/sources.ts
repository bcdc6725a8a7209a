import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { expandPath } from "../data/sources.ts";
import { BoosterError } from "../errors.ts";

/** Names of options that hold a path to something that is read: a data source, a moderator's file. */
const PATH_OPTIONS = new Set(["path", "file"]);

/** Paths of all data sources and moderators in options, however deep. */
export function pathsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]: [string, unknown]) =>
    PATH_OPTIONS.has(name) && typeof inner === "string" ? [inner] : pathsIn(inner),
  );
}

/** @throws {BoosterError} `DATA_NOT_FOUND` for the first file that options name and that is not there */
export function checkFiles(options: unknown): void {
  const missing = pathsIn(options)
    .flatMap(expandPath)
    .find((path) => !existsSync(path));
  if (missing === undefined) return;
  throw new BoosterError("DATA_NOT_FOUND", "there is no such data file", { where: missing });
}

/** SHA-256 of every file that options name. Throws `DATA_NOT_FOUND`. */
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
