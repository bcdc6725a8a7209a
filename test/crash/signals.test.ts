import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RandomStream } from "../../src/tensor/random.ts";
import { readMetrics } from "../../src/train/metrics.ts";
import { stopOnSignals } from "../../src/train/signals.ts";
import { compileProgram } from "./compile.ts";
import { isRunning, lockHolder, resultBytes, runTrainer } from "./run-trainer.ts";

const stops = Number(process.env.BOOSTER_STOPS ?? 10);
/** More than twice as long as the latest signal waits, so that a busy machine does not end it first. */
const job = { steps: 120, size: 200, milliseconds: 10 };
const program = compileProgram("test/crash/trainer.ts");
const parent = compileProgram("test/crash/parent.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-signals-"));
const random = new RandomStream(5, "stops");

afterAll(() => {
  rmSync(folder, { recursive: true });
});

test(`SIGTERM at ${stops} random moments: code 143, a checkpoint of the last step, the same bytes after resuming`, async () => {
  const reference = join(folder, "reference");
  await runTrainer(program.path, { ...job, run: reference });
  for (let i = 0; i < stops; i++) {
    const run = join(folder, `stop-${i}`);
    const stopped = await runTrainer(
      program.path,
      { ...job, run },
      { signal: "SIGTERM", after: 500 * random.uniform(i), from: "started" },
    );
    expect(stopped, stopped.output).toMatchObject({ code: 143 });
    expect(stopped.millisecondsAfterSignal).toBeLessThan(30_000);
    const steps = readMetrics(join(run, "metrics.jsonl")).filter(({ kind }) => kind === "step").length;
    expect(Number(readFileSync(join(run, "checkpoints/latest"), "utf8").slice("step-".length))).toBe(steps);
    await runTrainer(program.path, { ...job, run });
    expect(resultBytes(run)).toEqual(resultBytes(reference));
  }
});

test.each([["SIGINT", 130] as const, ["SIGHUP", 129] as const, ["SIGUSR1", 143] as const])(
  "%s ends a run with %i",
  async (signal, code) => {
    const run = join(folder, signal);
    expect(await runTrainer(program.path, { ...job, run }, { signal, after: 200, from: "started" })).toMatchObject({
      code,
    });
  },
);

test("handlers of others stay, and ours go", () => {
  const other = () => undefined;
  process.on("SIGTERM", other);
  const stop = stopOnSignals();
  expect(process.listeners("SIGTERM")).toContain(other);
  expect(process.listenerCount("SIGTERM")).toBe(2);
  stop.restore();
  expect(process.listeners("SIGTERM")).toEqual([other]);
  expect(stop.exitCode()).toBeUndefined();
  process.off("SIGTERM", other);
});

test("two SIGINT leave within a second, although the step blocks its process for 20 s, and nothing runs on", async () => {
  const run = join(folder, "slow");
  const child = spawn(process.execPath, [
    parent.path,
    program.path,
    JSON.stringify({ ...job, run, milliseconds: 20_000 }),
  ]);
  let output = "";
  let interrupted = 0;
  child.stdout.on("data", (text) => {
    output += text;
    if (output.endsWith("started\n")) {
      setTimeout(() => {
        interrupted = performance.now();
        child.kill("SIGINT");
      }, 300);
    }
    if (output.endsWith("stopping\n")) child.kill("SIGINT");
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(performance.now() - interrupted).toBeLessThan(10_000);
  expect(code).toBe(130);
  const holder = lockHolder(run);
  await expect.poll(() => isRunning(holder.pid)).toBe(false);
});
