import { type FileSystem, nodeFileSystem } from "../../src/train/files.ts";

/** Operations that reach the disk, i.e. those that can fail or be the last one before a crash. */
const OPERATIONS = [
  ...["open", "write", "read", "size", "truncate", "fsync", "close"],
  ...["rename", "unlink", "rmdir", "mkdir", "list"],
] as (keyof FileSystem)[];

/**
 * The real disk with a hook before each operation.
 *
 * @param before gets the operation's number (1, 2, ...), name and first argument; when it returns a function, that runs in the
 * operation's stead with the same arguments.
 */
export function hookedFiles(
  before: (call: number, operation: string, target: unknown) => ((...args: never[]) => unknown) | undefined,
): FileSystem {
  let calls = 0;
  const hooked: Record<string, unknown> = { ...nodeFileSystem };
  for (const operation of OPERATIONS) {
    const real = nodeFileSystem[operation] as (...args: never[]) => unknown;
    hooked[operation] = (...args: never[]) => (before(++calls, operation, args[0]) ?? real)(...args);
  }
  return hooked as unknown as FileSystem;
}

/** An error as the system makes it. */
export const systemError = (code: string, syscall: string): Error =>
  Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall, errno: -1 });

/** Makes operation number `call` fail, and `done()` tell whether it came to that. */
export function failingFiles(call: number, code: "EIO" | "ENOSPC" | "EMFILE" | "SHORT_WRITE") {
  let failed = false;
  const fs = hookedFiles((number, operation) => {
    if (number !== call) return undefined;
    failed = true;
    if (code === "SHORT_WRITE") {
      if (operation !== "write") return undefined;
      return (fd: number, bytes: Uint8Array) =>
        nodeFileSystem.write(fd, bytes.subarray(0, Math.ceil(bytes.length / 2)));
    }
    return () => {
      throw systemError(code, operation);
    };
  });
  return { fs, done: () => failed };
}
