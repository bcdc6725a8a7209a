import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { Child, runInChild } from "../../src/train/child.ts";
import { compileProgram } from "./compile.ts";
import type { OddJob } from "./odd-jobs.ts";
import { isRunning, lockHolder, runTrainer } from "./run-trainer.ts";
import type { TrainerJob } from "./trainer.ts";

const trainer = compileProgram("test/crash/trainer.ts");
const oddJobs = compileProgram("test/crash/odd-jobs.ts");
const parent = compileProgram("test/crash/parent.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-child-"));

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What the child writes to its standard error on its way out is passed on; here it would only clutter the test log. */
async function doJob(job: OddJob): Promise<unknown> {
  const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    return await runInChild(oddJobs.path, job);
  } finally {
    written.mockRestore();
  }
}

test("events arrive in order, then the result", async () => {
  const events: unknown[] = [];
  const result = await runInChild(oddJobs.path, "count", { emit: (event) => events.push(event) });
  expect(events).toEqual(Array.from({ length: 1000 }, (_, i) => ({ type: "work", text: String(i) })));
  expect(result).toEqual(Float32Array.of(1, Number.NaN));
});

test("errors keep all that they say", async () => {
  await expect(doJob("refuse")).rejects.toMatchObject({
    code: "DISK_FULL",
    message: "no space; expected 2 bytes; found 1 byte (here). free it",
    problem: "no space",
    details: { expected: "2 bytes", found: "1 byte", where: "here", hint: "free it" },
  });
  await expect(doJob("throw")).rejects.toMatchObject({
    code: "INTERNAL",
    message: expect.stringContaining("odd-jobs"),
  });
});

test("T33: a child that takes more memory than it may have is stopped, and the error says what helps", async () => {
  const child = new Child(oddJobs.path, 400e6);
  await expect(child.ask("tensors")).rejects.toMatchObject({
    code: "OUT_OF_MEMORY",
    details: {
      expected: "at most 0.40 GB",
      found: expect.stringMatching(/^0\.[4-9]\d GB$/),
      hint: expect.stringMatching(/micro-batch.*length.*model/),
    },
  });
});

test("a crash is told by its kind", async () => {
  await expect(doJob("kill")).rejects.toMatchObject({ code: "CHILD_KILLED" });
  await expect(doJob("abort")).rejects.toMatchObject({
    code: "CHILD_CRASHED",
    message: expect.stringMatching("SIGABRT"),
  });
  await expect(doJob("exit")).rejects.toMatchObject({
    code: "CHILD_CRASHED",
    message: expect.stringMatching("code 7.*oops"),
  });
});

test("a full heap is told as such", async () => {
  vi.stubEnv("NODE_OPTIONS", "--max-old-space-size=40");
  await expect(doJob("heap")).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
  vi.unstubAllEnvs();
});

test("a stop request reaches a child whose steps block it", async () => {
  const job: TrainerJob = { run: join(folder, "stop"), steps: 1000, size: 100, milliseconds: 50 };
  const controller = new AbortController();
  const emit = () => setTimeout(() => controller.abort("SIGINT"), 200);
  const result = await runInChild(trainer.path, job, { emit, signal: controller.signal });
  expect(result).toMatch(/^stopped \d+/);
});

test("when the parent is killed, the child stops cleanly by itself and the run can be resumed", async () => {
  const job: TrainerJob = { run: join(folder, "orphan"), steps: 100_000, size: 100, milliseconds: 20 };
  const process_ = spawn(process.execPath, [parent.path, trainer.path, JSON.stringify(job)]);
  await new Promise<void>((resolve) => process_.stdout.on("data", () => setTimeout(resolve, 300)));
  const { pid } = lockHolder(job.run);
  process_.kill("SIGKILL");
  await expect.poll(() => isRunning(pid)).toBe(false);
  const resumed = await runTrainer(trainer.path, job, { signal: "SIGTERM", after: 500, from: "started" });
  expect(resumed.output).toMatch(/resumed after step [1-9]/);
});
