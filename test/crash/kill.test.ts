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
const patience = 60_000 + 20_000 * kills;
const job = { steps: 60, size: 2000, milliseconds: 4 };

const program = compileProgram("test/crash/trainer.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-kill-"));
const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "kills");
let reference: Record<string, string>;
let milliseconds: number;
let operations: { total: number; checkpoints: number[] };

beforeAll(async () => {
  const start = performance.now();
  const run = join(folder, "reference");
  const result = await runTrainer(program.path, { ...job, run });
  milliseconds = performance.now() - start;
  expect(result).toMatchObject({ code: 0 });
  reference = resultBytes(run);
  operations = JSON.parse(/file operations: (.*)/.exec(result.output)?.[1] ?? "");
});

afterAll(() => {
  rmSync(folder, { recursive: true });
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

async function killBefore(killAtCall: number, name: string): Promise<void> {
  const run = join(folder, name);
  const killed: TrainerJob = { ...job, milliseconds: 0, run, killAtCall };
  expect(await runTrainer(program.path, killed)).toMatchObject({ signal: "SIGKILL" });
  await resumeUntilDone(run);
}

test(
  `kill -9 before ${kills / 2} random file operations of the whole run`,
  async () => {
    for (let i = 0; i < kills / 2; i++) await killBefore(1 + random.integer(1000 + i, operations.total), `call-${i}`);
  },
  patience,
);

/** File operations from the first of a save to its last: write, commit, `latest`, removal of the oldest. */
const OPERATIONS_OF_A_SAVE = 27;

test(
  `kill -9 inside the checkpoint writer, ${kills} times`,
  async () => {
    const { checkpoints } = operations;
    expect(checkpoints.length).toBe(7);
    for (let i = 0; i < kills; i++) {
      const operation = Math.floor(((i + random.uniform(3000 + i)) * OPERATIONS_OF_A_SAVE) / kills);
      await killBefore(checkpoints[random.integer(2000 + i, checkpoints.length)]! + operation, `save-${i}`);
    }
  },
  patience,
);

test("the metrics of the reference are whole", () => {
  const rows = reference["metrics.jsonl"]!.trim().split("\n");
  expect(rows.length).toBe(60 + 10);
});
