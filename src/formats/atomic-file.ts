import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { BoosterError } from "../errors.ts";

/** `fs.writeSync` takes lengths below 2^31 only. */
const MAX_WRITE_BYTES = 2 ** 30;

/**
 * Writes a file so that its name shows either the old content or the new one, never a part, even after a crash:
 * temporary file, fsync, rename, fsync of the folder.
 *
 * @throws {BoosterError} `DISK_FULL`, `FILE_WRITE_FAILED`; no temporary file is left then.
 * @example
 * writeFileAtomic("notes.txt", [Buffer.from("hello")]);
 */
export function writeFileAtomic(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const file = openSync(temporary, "w");
    try {
      for (const chunk of chunks) writeAll(file, chunk);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    const folder = openSync(dirname(path), "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw writeError(path, cause);
  }
}

/**
 * Creates a folder, and those above it, where it is absent.
 *
 * @throws {BoosterError} `DISK_FULL`, `FILE_WRITE_FAILED`
 * @example
 * makeFolder("runs/notes");
 */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw writeError(path, cause);
  }
}

function writeAll(file: number, chunk: Uint8Array): void {
  let done = 0;
  while (done < chunk.length) {
    done += writeSync(file, chunk, done, Math.min(MAX_WRITE_BYTES, chunk.length - done));
  }
}

/** What the system says of a path that cannot be written, with what to do. */
export function writeError(path: string, cause: unknown): BoosterError {
  if (cause instanceof BoosterError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown error";
  if (code !== "ENOSPC" && code !== "EDQUOT") {
    return new BoosterError("FILE_WRITE_FAILED", `this cannot be written: ${code}`, {
      where: path,
      hint: "Give yourself write permission, or choose another place",
      cause,
    });
  }
  const disk = statfsSync(nearest(path));
  return new BoosterError("DISK_FULL", "no space left", {
    found: `${disk.bavail * disk.bsize} free bytes`,
    where: path,
    hint: "Free some space and try again; nothing was overwritten",
    cause,
  });
}

/** The lowest folder above a path that there is. */
const nearest = (path: string): string => (existsSync(dirname(path)) ? dirname(path) : nearest(dirname(path)));

/** Whole small files below a folder, which is made, as are those that their names have. Throws what `makeFolder` and `writeFileAtomic` throw. */
export function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, bytes] of files) {
    const path = join(folder, name);
    makeFolder(dirname(path));
    writeFileAtomic(path, [bytes]);
  }
}
