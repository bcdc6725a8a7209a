import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RunLock } from "./lock.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-lock-"));
  path = join(folder, "lock");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.unstubAllEnvs();
});

const holderFile = () => join(path, readdirSync(path)[0]!);

/** Leaves a lock that looks like this process's, but for some fields. */
function leaveLock(changes: Record<string, unknown>): void {
  RunLock.acquire(path);
  const content = JSON.parse(readFileSync(holderFile(), "utf8"));
  rmSync(holderFile());
  writeFileSync(join(path, "holder-other.json"), JSON.stringify({ ...content, ...changes }));
}

test("a live holder is named and refused", () => {
  RunLock.acquire(path);
  expect(() => RunLock.acquire(path)).toThrow(`process ${process.pid}`);
  expect(() => RunLock.acquire(path)).toThrow(expect.objectContaining({ code: "RUN_LOCKED" }));
});

test("a released lock is free", () => {
  RunLock.acquire(path).release();
  expect(existsSync(path)).toBe(false);
  RunLock.acquire(path).assertHeld();
});

test.each([
  ["no such process", { pid: 2 ** 22 + 1 }],
  ["another process with the same number", { started: "1" }],
  ["a process from before the last boot", { boot: "another" }],
])("a dead holder loses its lock: %s", (_, changes) => {
  leaveLock(changes);
  RunLock.acquire(path).assertHeld();
});

test("a holder on another machine cannot be judged and is refused", () => {
  leaveLock({ host: "elsewhere", pid: 2 ** 22 + 1 });
  expect(() => RunLock.acquire(path)).toThrow(/elsewhere.*delete/);
});

test("a requeued Slurm job takes over its own lock from another machine", () => {
  vi.stubEnv("SLURM_JOB_ID", "77");
  vi.stubEnv("SLURM_RESTART_COUNT", "0");
  leaveLock({ host: "elsewhere" });
  expect(() => RunLock.acquire(path)).toThrow("elsewhere");
  vi.stubEnv("SLURM_RESTART_COUNT", "1");
  RunLock.acquire(path).assertHeld();
});

test("a holder whose lock went away stops writing, and does not release another's", () => {
  const lock = RunLock.acquire(path);
  rmSync(path, { recursive: true });
  expect(() => lock.assertHeld()).toThrow(expect.objectContaining({ code: "LOCK_LOST" }));
  leaveLock({ pid: 1 });
  lock.release();
  expect(existsSync(path)).toBe(true);
});

test("an unreadable lock is not guessed about", () => {
  RunLock.acquire(path);
  writeFileSync(holderFile(), "");
  expect(() => RunLock.acquire(path)).toThrow(expect.objectContaining({ code: "RUN_LOCKED" }));
});
