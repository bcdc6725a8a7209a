import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
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

/** Programs that answer as Slurm's do: a cluster `here`, and what squeue says and ends with. The real ones are asked in test/slurm. */
function slurmSays(told: string, code = 0): void {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  const program = (name: string, text: string) =>
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program("scontrol", "echo 'ClusterName             = here'");
  program("squeue", `${code === 0 ? "" : "exec >&2; "}echo '${told}'; exit ${code}`);
  vi.stubEnv("PATH", `${bin}${delimiter}${process.env.PATH}`);
}

// Slurm's word is kept for a while, so each case asks about a job of its own.
test.each([
  ["has ended", "1101", "", "1101 FAILED 0", 0],
  ["was requeued and waits", "1102", "", "1102 PENDING 1", 0],
  ["was started again elsewhere", "1103", "1", "1103 RUNNING 2", 0],
  ["is forgotten", "1104", "", "slurm_load_jobs error: Invalid job id specified", 1],
  ["is not among its array's tasks", "1105", "", "1106 RUNNING 0", 0],
])(
  "a holder on another machine loses its lock where Slurm says that its job %s",
  (_, slurmJob, slurmRestart, told, code) => {
    slurmSays(told, code);
    leaveLock({ host: "elsewhere", slurmJob, slurmRestart, slurmCluster: "here" });
    RunLock.acquire(path).assertHeld();
  },
);

test.each([
  ["its job runs", "1111", "here", "1111 RUNNING 0", 0, /elsewhere, in Slurm job 1111/],
  ["its job is being requeued", "1112", "here", "1112 COMPLETING 1", 0, /elsewhere, in Slurm job 1112/],
  ["Slurm does not answer", "1113", "here", "Unable to contact slurm controller", 1, /cannot be seen/],
  ["its job is another cluster's", "1114", "there", "1114 FAILED 0", 0, /cannot be seen/],
])("a holder on another machine keeps its lock where %s", (_, slurmJob, slurmCluster, told, code, reason) => {
  slurmSays(told, code);
  leaveLock({ host: "elsewhere", slurmJob, slurmRestart: "", slurmCluster });
  expect(() => RunLock.acquire(path)).toThrow(reason);
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
