import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { atMost, BoosterError } from "../errors.ts";

/** `fs.readSync` takes lengths below 2^31 only. */
const MAX_READ_BYTES = 2 ** 30;

/** Bytes that can be read by position: a file, or a buffer. */
export interface ByteSource {
  /** What to call it in an error. */
  readonly where: string;
  readonly size: number;
  /** Fills `target` with the bytes from `position` on; the caller has checked that they lie within `size`. */
  readInto(position: number, target: Uint8Array): void;
}

/** A buffer as a byte source. */
export const bytesSource = (bytes: Uint8Array, where: string): ByteSource => ({
  where,
  size: bytes.length,
  readInto: (position, target) => target.set(bytes.subarray(position, position + target.length)),
});

/**
 * A regular file as a byte source. It is opened for each read, so there is nothing to close; a file that was replaced or
 * changed between two reads is refused, since its parts would not belong together.
 *
 * @throws {BoosterError} `FILE_NOT_FOUND`, `FILE_UNREADABLE`; from `readInto` also `FILE_CHANGED`.
 * @example
 * const source = fileSource("model.safetensors");
 * source.readInto(0, new Uint8Array(8));
 */
export function fileSource(path: string): ByteSource {
  const opened = access(path, () => statSync(path));
  // Reading a pipe or a device could block for ever.
  if (!opened.isFile()) throw new BoosterError("FILE_UNREADABLE", "this is no regular file", { where: path });
  return {
    where: path,
    size: opened.size,
    readInto(position, target) {
      const file = access(path, () => openSync(path, "r"));
      try {
        const now = fstatSync(file);
        if (now.ino !== opened.ino || now.size !== opened.size || now.mtimeMs !== opened.mtimeMs) {
          throw changed(path);
        }
        fill(file, position, target, path);
      } finally {
        closeSync(file);
      }
    },
  };
}

function access<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown error";
    if (code === "ENOENT") throw new BoosterError("FILE_NOT_FOUND", "there is no such file", { where: path, cause });
    throw new BoosterError("FILE_UNREADABLE", `the file cannot be read: ${code}`, { where: path, cause });
  }
}

function fill(file: number, position: number, target: Uint8Array, path: string): void {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(MAX_READ_BYTES, target.length - done);
    const got = access(path, () => readSync(file, target, done, length, position + done));
    if (got === 0) throw changed(path);
    done += got;
  }
}

const changed = (path: string): BoosterError =>
  new BoosterError("FILE_CHANGED", "the file was changed while it was being read", {
    where: path,
    hint: "Load it again when nothing writes to it",
  });

/**
 * A whole small file.
 *
 * @throws {BoosterError} `FILE_TOO_LARGE`, and as `fileSource`.
 */
export function readSmallFile(path: string, maxBytes: number): Uint8Array {
  const source = fileSource(path);
  const problem = "the file is larger than such a file can be";
  atMost(maxBytes, "bytes", source.size, "FILE_TOO_LARGE", problem, { where: path });
  const bytes = new Uint8Array(source.size);
  source.readInto(0, bytes);
  return bytes;
}
