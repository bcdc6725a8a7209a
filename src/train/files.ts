import * as node from "node:fs";
import { dirname } from "node:path";
import type { ErrorCode } from "../error-codes.ts";
import { BoosterError } from "../errors.ts";

/** The file operations that training relies on, as one object so that a test can make the n-th of them fail. */
export interface FileSystem {
  /** Opens for reading (`r`), creating anew (`wx`, fails when present) or appending (`a`). */
  open(path: string, flags: "r" | "wx" | "a"): number;
  /** Writes at the current position; may write less than asked and returns how much it did. */
  write(fd: number, bytes: Uint8Array): number;
  /** Reads from the current position into `bytes`; 0 at the end of the file. */
  read(fd: number, bytes: Uint8Array): number;
  size(fd: number): number;
  truncate(fd: number, length: number): void;
  fsync(fd: number): void;
  close(fd: number): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  rmdir(path: string): void;
  mkdir(path: string): void;
  /** Entries of a folder, sorted by name; a symbolic link to a folder is not a `directory`. */
  list(path: string): { name: string; directory: boolean }[];
  /** Bytes that an ordinary user can still write where `path` lies. */
  freeBytes(path: string): number;
}

/** The real disk. */
export const nodeFileSystem: FileSystem = {
  open: (path, flags) => node.openSync(path, flags),
  write: (fd, bytes) => node.writeSync(fd, bytes),
  read: (fd, bytes) => node.readSync(fd, bytes),
  size: (fd) => node.fstatSync(fd).size,
  truncate: (fd, length) => node.ftruncateSync(fd, length),
  fsync: (fd) => node.fsyncSync(fd),
  close: (fd) => node.closeSync(fd),
  rename: (from, to) => node.renameSync(from, to),
  unlink: (path) => node.unlinkSync(path),
  rmdir: (path) => node.rmdirSync(path),
  mkdir: (path) => node.mkdirSync(path),
  list: (path) =>
    node
      .readdirSync(path, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, directory: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  freeBytes: (path) => {
    const { bavail, bsize } = node.statfsSync(path);
    return bavail * bsize;
  },
};

/** System calls take a 31-bit length, files may be longer. */
const CHUNK_BYTES = 64 * 2 ** 20;

/** The errno name of a failed file operation (`ENOENT`, ...), or undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Runs `use` on an open file and closes it whatever happens. */
export function withFile<T>(fs: FileSystem, path: string, flags: "r" | "wx" | "a", use: (fd: number) => T): T {
  const fd = fs.open(path, flags);
  try {
    return use(fd);
  } finally {
    fs.close(fd);
  }
}

/** Writes every byte, going on after short writes. */
export function writeAll(fs: FileSystem, fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const written = fs.write(fd, bytes.subarray(done, done + CHUNK_BYTES));
    if (written === 0) {
      throw new BoosterError("DISK_IO_ERROR", "the disk accepts no more bytes and gives no reason", {
        expected: `${bytes.length} bytes written`,
        found: `${done}`,
      });
    }
    done += written;
  }
}

/** Reads a whole file. */
export function readAll(fs: FileSystem, path: string): Uint8Array {
  return withFile(fs, path, "r", (fd) => {
    const bytes = new Uint8Array(fs.size(fd));
    let done = 0;
    while (done < bytes.length) {
      const count = fs.read(fd, bytes.subarray(done, done + CHUNK_BYTES));
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  });
}

/** Creates a file that survives a power cut once its folder is synced too. */
export function createDurably(fs: FileSystem, path: string, bytes: Uint8Array): void {
  withFile(fs, path, "wx", (fd) => {
    writeAll(fs, fd, bytes);
    fs.fsync(fd);
  });
}

/** Makes the names in a folder survive a power cut. */
export function syncDirectory(fs: FileSystem, path: string): void {
  // Windows cannot open a folder and keeps its names durable by itself.
  if (process.platform === "win32") return;
  withFile(fs, path, "r", (fd) => fs.fsync(fd));
}

/** Replaces a file in one step: readers see the old bytes or the new ones, never a mixture. */
export function replaceFile(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const temporary = temporaryName(path);
  removeIfPresent(fs, temporary);
  createDurably(fs, temporary, bytes);
  fs.rename(temporary, path);
  syncDirectory(fs, dirname(path));
}

/** The name under which a file or folder is prepared before it is renamed to `path`. */
export const temporaryName = (path: string): string => `${path}.tmp-${process.pid}`;

/** Whether a name is one that `temporaryName` makes. */
export const isTemporaryName = (name: string): boolean => /\.tmp-\d+$/.test(name);

/** Removes a file that may be absent. */
export function removeIfPresent(fs: FileSystem, path: string): void {
  try {
    fs.unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Removes a folder and what is in it. */
export function removeTree(fs: FileSystem, path: string): void {
  removeEntries(fs, path);
  fs.rmdir(path);
}

/** Removes what is in a folder, or what of it is chosen; a symbolic link is removed itself, never followed. */
export function removeEntries(fs: FileSystem, path: string, isChosen = (_name: string) => true): void {
  for (const { name, directory } of fs.list(path)) {
    if (!isChosen(name)) continue;
    if (directory) removeTree(fs, `${path}/${name}`);
    else fs.unlink(`${path}/${name}`);
  }
}

/** Publishes a folder by one rename, whole or not at all; one of the same name is replaced. */
export function replaceFolder(fs: FileSystem, path: string, write: (folder: string) => void): void {
  const temporary = temporaryName(path);
  try {
    fs.mkdir(temporary);
    write(temporary);
    syncDirectory(fs, temporary);
    if (exists(fs, path)) removeTree(fs, path);
    fs.rename(temporary, path);
  } catch (error) {
    giveSpaceBack(fs, temporary);
    throw error;
  }
  syncDirectory(fs, dirname(path));
}

/** Removes what was half written, so that a full disk does not stay full because of it. */
function giveSpaceBack(fs: FileSystem, temporary: string): void {
  try {
    removeTree(fs, temporary);
  } catch {
    // The first error is the one to report; the next start removes what stays behind.
  }
}

/** Creates a folder and those above it where they are absent. Returns whether it was absent. */
export function ensureDirectory(fs: FileSystem, path: string): boolean {
  try {
    fs.mkdir(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return false;
    if (errno !== "ENOENT" || dirname(path) === path) throw error;
    ensureDirectory(fs, dirname(path));
    fs.mkdir(path);
  }
  syncDirectory(fs, dirname(path));
  return true;
}

/** Whether a file or folder can be opened for reading. */
export function exists(fs: FileSystem, path: string): boolean {
  try {
    withFile(fs, path, "r", () => undefined);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Bytes for people, in MiB. */
export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

const REASONS: Readonly<Record<string, readonly [code: ErrorCode, hint: string]>> = {
  ENOSPC: ["DISK_FULL", "Free some space, then start the same run again with resume: nothing that was saved is lost"],
  EDQUOT: ["DISK_FULL", "Your disk quota is used up: free some space, then start the same run again with resume"],
  EROFS: ["RUN_DIR_READ_ONLY", "Choose a run folder on a disk that can be written"],
  EACCES: ["RUN_DIR_READ_ONLY", "Give yourself write permission or choose another run folder"],
  EPERM: ["RUN_DIR_READ_ONLY", "Give yourself write permission or choose another run folder"],
  EMFILE: ["TOO_MANY_OPEN_FILES", "Raise the limit (ulimit -n), then start the same run again with resume"],
  ENFILE: ["TOO_MANY_OPEN_FILES", "The system is out of file handles: close programs, then resume the run"],
};

/**
 * Runs file operations and turns what the system says into an error that tells what to do.
 *
 * @throws {BoosterError} `DISK_FULL`, `RUN_DIR_READ_ONLY`, `TOO_MANY_OPEN_FILES` or `DISK_IO_ERROR`, with the path,
 * the system's own words and the free bytes.
 * @example
 * guardFiles(fs, "saving a checkpoint", folder, () => createDurably(fs, path, bytes));
 */
export function guardFiles<T>(fs: FileSystem, action: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const [code, hint] = REASONS[errno] ?? [
      "DISK_IO_ERROR",
      "Check the disk and the path; resume continues from the last checkpoint",
    ];
    throw new BoosterError(code, `${action} failed`, {
      found: `${(error as Error).message}; ${freeSpace(fs, path)} free`,
      where: path,
      hint,
      cause: error,
    });
  }
}

function freeSpace(fs: FileSystem, path: string): string {
  try {
    return mebibytes(fs.freeBytes(dirname(path)));
  } catch {
    return "an unknown number of bytes";
  }
}
