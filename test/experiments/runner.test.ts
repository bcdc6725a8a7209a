/** Pieces of an experiment and those who do them: shared work, killed workers, choices that earlier pieces decide. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dryRun } from "../../src/experiments/dry-run.ts";
import { planExperiment, runExperiment } from "../../src/experiments/experiment.ts";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import type { Piece } from "../../src/experiments/plan.ts";
import { localRunner } from "../../src/experiments/runners/local.ts";
import { renderJson } from "../../src/report/index.ts";
import { readEvaluation } from "../../src/stages/evaluate.ts";
import type { Event } from "../../src/train/index.ts";
import { compileProgram } from "../crash/compile.ts";
import { lockHolder } from "../crash/run-trainer.ts";
import { computed, makeTinyWorld, quickAlignment, quickCells, type TinyWorld } from "./tiny-world.ts";

const worker = compileProgram("src/experiments/worker.ts");
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => {
  world.remove();
});

function experiment(out: string, steps = 4) {
  const { model, method: _, threads, ...align } = quickAlignment(world, "sft", steps);
  return ExperimentOptions.parse({
    out: join(world.folder, out),
    model,
    methods: [{ method: "sft" }, { method: "vaccine" }],
    seeds: [0],
    align,
    ...quickCells(world, steps),
    threads,
  });
}
/** A result without what the clock decides. */
const timeless = (result: Awaited<ReturnType<typeof runExperiment>>) => {
  const { methods, wallSeconds: _, ...rest } = JSON.parse(renderJson(result));
  return { ...rest, methods: methods.map(({ cost: _, ...method }: { cost: unknown }) => method) };
};
const labels = async (options: ExperimentOptions) => (await planExperiment(options)).pieces.map(({ label }) => label);

test("two starts on one folder share the work, and both come to the same result", async () => {
  const options = { ...experiment("shared"), jobs: 1 };
  const done: [string[], string[]] = [[], []];
  const results = await Promise.all(
    done.map((labels) => runExperiment(options, { worker: worker.path, emit: computed(labels) })),
  );
  expect(timeless(results[0] as never)).toEqual(timeless(results[1] as never));
  expect(done.flat().sort()).toEqual((await labels(options)).sort());
  for (const mine of done) expect(mine.length).toBeGreaterThan(0);
});

test("a worker that is killed is told, the others stop, and the next start goes on to the same result", async () => {
  const options = { ...experiment("killed", 12), jobs: 2 };
  const whole = await runExperiment({ ...options, out: join(world.folder, "undisturbed") });
  const done: string[] = [];
  let killed = false;
  const emit = (event: Event) => {
    computed(done)(event);
    if (killed || event.type !== "step" || event.step < 3) return;
    killed = true;
    const runs = readdirSync(join(options.out, "align")).map((key) => join(options.out, "align", key));
    process.kill(lockHolder(runs.find((run) => existsSync(join(run, "lock"))) ?? "").pid, "SIGKILL");
  };
  const broken = runExperiment(options, { worker: worker.path, emit });
  await expect(broken).rejects.toMatchObject({ code: "CHILD_KILLED" });
  expect(done.length).toBeLessThan(2);
  const result = await runExperiment(options, { worker: worker.path, emit: computed(done) });
  expect(timeless(result)).toEqual({ ...timeless(whole) });
  expect(new Set(done).size).toBe(done.length);
});

test("a plan tells what is there and what is to do, without doing it", async () => {
  const options = experiment("dry");
  const before = await dryRun(options);
  expect(existsSync(options.out)).toBe(false);
  expect(before.cells).toHaveLength(4);
  expect(before.pieces.map(({ label }) => label)).toEqual(await labels(options));
  expect(new Set(before.pieces.map(({ state }) => state))).toEqual(new Set(["to do"]));
  expect(before.pieces.filter(({ cells }) => cells === 2).map(({ stage }) => stage)).toEqual([
    "align",
    "evaluate",
    "align",
    "evaluate",
  ]);
  await runExperiment({ ...options, methods: options.methods.slice(0, 1) });
  const after = await dryRun(options);
  for (const { label, state } of after.pieces) expect(state).toBe(/^sft /.test(label) ? "there" : "to do");
  const attacks = after.pieces.filter(({ stage, state }) => stage === "finetune" && state === "to do");
  for (const { seconds } of attacks) expect(seconds).toBeGreaterThan(0);
  expect(after.pieces.find(({ label }) => label === "vaccine seed 0: align")).not.toHaveProperty("seconds");
});

test("an attack may be chosen by what earlier ones came to", async () => {
  const options = experiment("search");
  const { pieces } = await planExperiment({ ...options, methods: options.methods.slice(0, 1) });
  const [weak, strong] = pieces.filter(({ stage }) => stage === "finetune") as [Piece, Piece];
  const judged = pieces.filter(({ label }) => label.endsWith(", evaluate")).map(({ key }) => key);
  const asked: number[] = [];
  const found: Piece = {
    ...strong,
    key: "chosen",
    label: "the stronger one again, longer",
    from: judged,
    options: {
      rule: "worst of two",
      from: judged,
      candidates: [{ ...weak.options, steps: 2 }],
      pick: (runs) => {
        asked.push(...runs.map((run = "") => readEvaluation(run).harm.harmfulScore.percent));
        return { ...weak.options, steps: 2 };
      },
    },
  };
  const outcomes = await localRunner(options)([...pieces, found], {});
  expect(asked.length).toBeGreaterThanOrEqual(2);
  expect(outcomes.get("chosen")).toEqual({ run: join(options.out, "attack", "chosen") });
  expect(existsSync(join(options.out, "attack", "chosen", "adapter"))).toBe(true);
  // The same choice again is there already.
  const states: string[] = [];
  await localRunner(options)([...pieces, found], {
    emit: (event) => event.type === "piece" && states.push(event.state),
  });
  expect(new Set(states)).toEqual(new Set(["skipped"]));
});
