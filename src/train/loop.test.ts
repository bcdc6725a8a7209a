import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type QuadraticOptions, QuadraticStepper } from "../../test/crash/quadratic-stepper.ts";
import { BatchSampler } from "../data/batches.ts";
import { type TrainingPlan, train } from "./loop.ts";
import { readMetrics } from "./metrics.ts";
import { RunDirectory } from "./run-directory.ts";
import type { StepResult } from "./stepper.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-loop-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Records which rows each step saw. */
class RecordingStepper extends QuadraticStepper {
  readonly seen: string[] = [];

  override step(batches: Readonly<Record<string, readonly Int32Array[]>>, rate: number): Promise<StepResult> {
    const rows = Object.values(batches).map((parts) => parts.map((part) => part.join(" ")).join(" | "));
    this.seen.push(rows.join(" / "));
    return super.step(batches, rate);
  }
}

interface Trial extends Partial<TrainingPlan> {
  readonly name: string;
  readonly quadratic?: Partial<QuadraticOptions>;
  readonly onStep?: (step: number) => unknown;
}

/** One call of `train` on a run of that name, with everything that there is to look at afterwards. */
async function trial({ name, quadratic, onStep, ...plan }: Trial) {
  const path = join(folder, name);
  const stepper = new RecordingStepper({ size: 20, ...quadratic });
  const run = RunDirectory.open(path, { config: {}, data: {}, environment: {} }, { resume: true, keep: 2 });
  const notices: string[] = [];
  try {
    const result = await train({
      stepper,
      run,
      batches: { alignment: new BatchSampler(19, 8, 1, "alignment"), harmful: new BatchSampler(11, 4, 1, "harmful") },
      steps: 9,
      learningRate: (step) => 0.1 / (1 + step),
      checkpointEvery: 4,
      ...plan,
      emit: (event) => {
        if (event.type === "notice") notices.push(event.text);
        if (event.type === "step") onStep?.(event.step);
      },
    });
    const adapter = result.outcome === "finished" ? result.adapter : undefined;
    return { result, adapter, seen: stepper.seen, notices, metrics: readFileSync(join(path, "metrics.jsonl"), "utf8") };
  } finally {
    run.close();
  }
}

test("epochs count the first stream; the other cycles at its own length", async () => {
  const { result, seen } = await trial({ name: "epochs" });
  expect(result).toMatchObject({ outcome: "finished", step: 9 });
  const rows = (stream: number, from: number, to: number) =>
    seen.slice(from, to).flatMap((step) => step.split(" / ")[stream]!.split(/[ |]+/).map(Number));
  const all = (length: number) => Array.from({ length }, (_, i) => i);
  for (const from of [0, 3, 6]) {
    expect(rows(0, from, from + 3).sort((a, b) => a - b)).toEqual(all(19));
    expect(rows(1, from, from + 3).sort((a, b) => a - b)).toEqual(all(11));
  }
  expect(rows(0, 0, 3)).not.toEqual(rows(0, 3, 6));
});

test("batch 8 = 4 x 2 = 8 x 1, the smaller last batch included", async () => {
  const [whole, halves, singles] = [
    await trial({ name: "micro-8" }),
    await trial({ name: "micro-4", microBatches: 2 }),
    await trial({ name: "micro-1", microBatches: 8 }),
  ];
  expect(halves.seen[0]).toMatch(/^(\d+ ){4}\| (\d+ ){4}\/ \d+ \d+ \| \d+ \d+$/);
  expect(halves.adapter).toEqual(whole.adapter);
  expect(singles.metrics).toEqual(whole.metrics);
});

test("stopped after any step and resumed: the same batches, metrics and weights", async () => {
  const evaluation = { due: (step: number) => step % 3 === 0, run: async (step: number) => ({ probe: step / 3 }) };
  const whole = await trial({ name: "whole", evaluation });
  for (let stopAfter = 1; stopAfter <= 9; stopAfter++) {
    const name = `stop-${stopAfter}`;
    const controller = new AbortController();
    const onStep = (step: number) => step === stopAfter && controller.abort("test");
    const first = await trial({ name, evaluation, signal: controller.signal, onStep });
    expect(first.result).toEqual({ outcome: "stopped", step: stopAfter });
    const second = await trial({ name, evaluation });
    expect(second.notices).toEqual([`resumed after step ${stopAfter}`]);
    expect([...first.seen, ...second.seen]).toEqual(whole.seen);
    expect(second.metrics).toBe(whole.metrics);
    expect(second.adapter).toEqual(whole.adapter);
  }
});

test("checkpoints come at an epoch's end and after a time for whoever asks for them, and change nothing", async () => {
  const whole = await trial({ name: "unheard" });
  const heard: string[] = [];
  const onCheckpoint = async (step: number, epochEnd: boolean) => void heard.push(`${step}${epochEnd ? " epoch" : ""}`);
  const told = await trial({ name: "heard", onCheckpoint });
  // Three steps an epoch, and every fourth step.
  expect(heard).toEqual(["0", "3 epoch", "4", "6 epoch", "8", "9 epoch"]);
  heard.length = 0;
  const timed = await trial({ name: "timed", onCheckpoint, checkpointSeconds: 1e-9 });
  expect(heard.map((text) => Number.parseInt(text, 10))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (const { adapter, metrics } of [told, timed]) {
    expect(metrics).toBe(whole.metrics);
    expect(adapter).toEqual(whole.adapter);
  }
});

test("evaluations come at the start, at the stride and at the end; one that is cut short is done again", async () => {
  const due = (step: number) => step % 4 === 0;
  const evaluation = { due, run: async (step: number) => ({ probe: step }) };
  const whole = await trial({ name: "probe", evaluation });
  const rows = readMetrics(join(folder, "probe/metrics.jsonl"));
  expect(rows.filter(({ kind }) => kind === "evaluation").map(({ probe }) => probe)).toEqual([0, 4, 8, 9]);
  const controller = new AbortController();
  const cut = async (step: number) => {
    if (step < 4) return { probe: step };
    controller.abort("test");
    return undefined;
  };
  await trial({ name: "cut", evaluation: { due, run: cut }, signal: controller.signal });
  expect((await trial({ name: "cut", evaluation })).metrics).toBe(whole.metrics);
});

test("a damaged newest checkpoint: said, passed over, the same result", async () => {
  const whole = await trial({ name: "sound" });
  const controller = new AbortController();
  const onStep = (step: number) => step === 6 && controller.abort("test");
  await trial({ name: "damaged", signal: controller.signal, onStep });
  writeFileSync(join(folder, "damaged/checkpoints/step-000006/manifest.json"), "{}");
  const resumed = await trial({ name: "damaged" });
  expect(resumed.notices).toEqual([expect.stringMatching("step-000006 is not used"), "resumed after step 4"]);
  expect(resumed.adapter).toEqual(whole.adapter);
  expect(resumed.metrics).toBe(whole.metrics);
});

test("a finished run that is started again does nothing and gives the same result", async () => {
  const first = await trial({ name: "finished" });
  const second = await trial({ name: "finished" });
  expect(second.seen).toEqual([]);
  expect(second.adapter).toEqual(first.adapter);
  expect(second.metrics).toBe(first.metrics);
});

test("a run whose lock is taken away writes nothing more", async () => {
  const onStep = (step: number) => step === 2 && rmSync(join(folder, "robbed/lock"), { recursive: true });
  await expect(trial({ name: "robbed", onStep })).rejects.toMatchObject({ code: "LOCK_LOST" });
});

test("a stream without data is named", async () => {
  const batches = { alignment: new BatchSampler(19, 8, 1, "alignment") };
  await expect(trial({ name: "missing", batches })).rejects.toMatchObject({ code: "STREAM_MISSING" });
});

describe("values that are not finite", () => {
  const poisonedSteps = (...steps: number[]) => {
    let step = 0;
    return () => steps.includes(step++);
  };

  test("two in a row are skipped: weights untouched, counted, training goes on", async () => {
    const skipping = await trial({ name: "skip", quadratic: { poisoned: poisonedSteps(3, 4, 7) } });
    expect(skipping.result.outcome).toBe("finished");
    const rows = readMetrics(join(folder, "skip/metrics.jsonl"));
    expect(rows.map(({ skipped }) => skipped)).toEqual([0, 0, 0, 1, 2, 2, 2, 3, 3]);
    expect(rows[3]).toMatchObject({ loss: "NaN", gradientNorm: "Infinity" });
  });

  test("a run of nothing but skipped steps leaves the weights bit for bit", async () => {
    const untouched = await new QuadraticStepper({ size: 20 }).adapter();
    const two = await trial({ name: "two", steps: 2, quadratic: { poisoned: () => true } });
    expect(two.adapter).toEqual(untouched);
  });

  test("three in a row end the run, with the rows, also when it was resumed in between", async () => {
    const poisoned = { poisoned: () => true };
    const failure = {
      code: "NON_FINITE_STEPS",
      message: expect.stringMatching(/loss = NaN, .*alignment rows \[.*\] \[.*\] \[/),
    };
    await expect(trial({ name: "three", quadratic: poisoned })).rejects.toMatchObject(failure);
    await trial({ name: "pieces", steps: 2, quadratic: poisoned });
    await expect(trial({ name: "pieces", quadratic: poisoned })).rejects.toMatchObject(failure);
  });

  test("an update that was applied with a loss that is no number ends the run before the next checkpoint", async () => {
    class Careless extends QuadraticStepper {
      override async step(): Promise<StepResult> {
        return { applied: true, tokens: 1, metrics: { loss: Number.NaN } };
      }
    }
    const stepper = new Careless({ size: 20 });
    await expect(trial({ name: "careless", stepper })).rejects.toMatchObject({ code: "NON_FINITE_UPDATE" });
  });

  test("an adapter with one bad element is never handed out", async () => {
    class Broken extends QuadraticStepper {
      override async adapter() {
        const tensors = await super.adapter();
        tensors.get("weights")!.data[17] = Number.POSITIVE_INFINITY;
        return tensors;
      }
    }
    const failure = { code: "NON_FINITE_ADAPTER", message: expect.stringMatching("Infinity at element 17") };
    await expect(trial({ name: "broken", stepper: new Broken({ size: 20 }) })).rejects.toMatchObject(failure);
  });
});

test("training ends where what was measured says so, also when it is resumed there", async () => {
  const evaluation = {
    due: (step: number) => step % 3 === 0,
    run: async (step: number) => ({ probe: step }),
    enough: (rows: readonly object[]) => rows.filter((row) => "probe" in row).length > 2,
  };
  const ended = await trial({ name: "enough", evaluation });
  expect(ended.result).toMatchObject({ outcome: "finished", step: 6 });
  const again = await trial({ name: "enough", evaluation });
  expect([again.result.step, again.metrics, again.seen]).toEqual([6, ended.metrics, []]);
  expect(again.adapter).toEqual(ended.adapter);
});
