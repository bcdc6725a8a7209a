import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RandomStream } from "../../src/tensor/random.ts";
import { compileProgram } from "./compile.ts";
import { resultBytes, runTrainer } from "./run-trainer.ts";
import type { TrainerJob } from "./trainer.ts";

/** BOOSTER_KILLS=200 is the nightly number. */
const kills = Number(process.env.BOOSTER_KILLS ?? 20);
const patience = 30_000 + 15_000 * kills;
const job = { steps: 60, size: 2000, milliseconds: 4 };

const program = compileProgram("test/crash/trainer.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-kill-"));
const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "kills");
let reference: Record<string, string>;
let milliseconds: number;
let operations: number;

beforeAll(async () => {
  const start = performance.now();
  const run = join(folder, "reference");
  const result = await runTrainer(program.path, { ...job, run });
  milliseconds = performance.now() - start;
  expect(result).toMatchObject({ code: 0 });
  reference = resultBytes(run);
  operations = Number(/after (\d+) file operations/.exec(result.output)?.[1]);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
  program.remove();
});

async function resumeUntilDone(run: string): Promise<void> {
  const result = await runTrainer(program.path, { ...job, run });
  expect(result, result.output).toMatchObject({ code: 0 });
  expect(resultBytes(run)).toEqual(reference);
}

test("the same run twice gives the same bytes", async () => {
  await resumeUntilDone(join(folder, "again"));
});

test(
  `kill -9 at ${kills} random times, twice a run, then resume: the bytes of an undisturbed run`,
  async () => {
    for (let i = 0; i < kills / 2; i++) {
      const run = join(folder, `time-${i}`);
      for (const part of [0, 1]) {
        const after = random.uniform(2 * i + part) * milliseconds;
        await runTrainer(program.path, { ...job, run }, { signal: "SIGKILL", after, from: "spawn" });
      }
      await resumeUntilDone(run);
    }
  },
  patience,
);

test(
  `kill -9 before ${kills} random file operations, then resume: the bytes of an undisturbed run`,
  async () => {
    for (let i = 0; i < kills; i++) {
      const run = join(folder, `call-${i}`);
      const killed: TrainerJob = { ...job, milliseconds: 0, run, killAtCall: 1 + random.integer(1000 + i, operations) };
      expect(await runTrainer(program.path, killed)).toMatchObject({ signal: "SIGKILL" });
      await resumeUntilDone(run);
    }
  },
  patience,
);

test("the metrics of the reference are whole", () => {
  const rows = reference["metrics.jsonl"]!.trim().split("\n");
  expect(rows.length).toBe(60 + 10);
});
