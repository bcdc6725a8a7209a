import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { writeFileAtomic } from "./atomic-file.ts";

/** Which call to the file system fails, counted from 1, and how. */
const fault = vi.hoisted(() => ({ call: 0, at: 0, errno: "EIO" }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const failing = <A extends unknown[], R>(action: (...args: A) => R) => {
    return (...args: A): R => {
      if (++fault.call === fault.at) throw Object.assign(new Error(fault.errno), { code: fault.errno });
      return action(...args);
    };
  };
  return {
    ...fs,
    openSync: failing(fs.openSync),
    fsyncSync: failing(fs.fsyncSync),
    renameSync: failing(fs.renameSync),
    // Half of what was asked for: a short write, which is no error.
    writeSync: failing((file: number, bytes: Uint8Array, offset: number, length: number) =>
      fs.writeSync(file, bytes, offset, Math.ceil(length / 2)),
    ),
  };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-atomic-"));
  writeFileSync(join(folder, "file"), "old");
});
afterEach(() => rmSync(folder, { recursive: true }));

function save(at: number, errno = "EIO"): void {
  Object.assign(fault, { call: 0, at, errno });
  try {
    writeFileAtomic(join(folder, "file"), [Buffer.from("new "), Buffer.from("content")]);
  } finally {
    fault.at = 0;
  }
}
const content = (): string => readFileSync(join(folder, "file"), "utf8");

test("short writes are continued", () => {
  save(0);
  expect(content()).toBe("new content");
  expect(readdirSync(folder)).toEqual(["file"]);
});

describe.each([
  ["EIO", "FILE_WRITE_FAILED"],
  ["EMFILE", "FILE_WRITE_FAILED"],
  ["ENOSPC", "DISK_FULL"],
])("%s at the n-th call, for every n", (errno, code) => {
  test("leaves the old file or the whole new one, and nothing beside it", () => {
    save(0);
    const calls = fault.call;
    expect(calls).toBeGreaterThan(8);
    for (let n = 1; n <= calls; n++) {
      writeFileSync(join(folder, "file"), "old");
      expect(() => save(n, errno), `call ${n}`).toThrow(expect.objectContaining({ code }));
      expect(["old", "new content"]).toContain(content());
      expect(readdirSync(folder)).toEqual(["file"]);
    }
  });
});
