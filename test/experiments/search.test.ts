/** The search for the worst attack: the same trials for every method, judged on other questions than the report's. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { readPlan } from "../../src/experiments/kept-plan.ts";
import type { ExperimentOptions } from "../../src/experiments/options.ts";
import { outcomesOf } from "../../src/experiments/runners/outcome.ts";
import { found } from "../../src/experiments/so-far.ts";
import { renderMarkdown } from "../../src/report/index.ts";
import { bytesOf, makeTinyWorld, quickAlignment, states, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

type Options = z.input<typeof ExperimentOptions>;
type Search = Pick<NonNullable<Options["attack"]["search"]>, "budget" | "strategy" | "space">;

const experiment = (name: string, search: Search, more: Partial<Options> = {}): Options => {
  const { model, method: _, threads: __, ...align } = quickAlignment(world, "sft", 3);
  return {
    out: join(world.folder, name),
    model,
    methods: ["sft", ["sft", "shrink"]],
    strengths: [{ learningRate: 1e-4 }],
    seeds: [0],
    align,
    attack: {
      task: world.data("reviews-0"),
      harmful: world.data("attack-0"),
      template: "chat",
      sampleNumber: 20,
      epochs: 1,
      loraRank: 4,
      loraAlpha: 4,
      search: {
        harmful: { path: world.data("harmful-0"), limit: 6 },
        task: { path: world.data("reviews-0"), limit: 4 },
        ...search,
      },
    },
    evaluate: {
      template: "chat",
      harmful: { path: world.data("test-harmful"), limit: 6 },
      harmless: { path: world.data("test-harmless"), limit: 2 },
      task: { path: world.data("test-reviews"), limit: 4 },
      taskMetric: "sst2",
      moderator: "world",
      maxNewTokens: 3,
    },
    threads: 1,
    ...more,
  };
};

/** What an experiment's folder says by itself. */
function toldBy(out: string) {
  const { options, plan, pieces } = readPlan(out);
  return found(options, plan, outcomesOf(out, pieces)).result();
}

test("random: every method meets the same trials, the worst is measured anew, and nothing is done twice", async () => {
  const options = experiment("random", { budget: 3, space: { learningRate: [1e-3, 1e-2], loraRank: [2, 4] } });
  const result = await runExperiment(options);
  const { trials = [], found = [] } = result.search ?? {};
  const labels = (method: string) => trials.filter((trial) => trial.method === method).map(({ label }) => label);
  expect(labels("sft")).toHaveLength(3);
  expect(labels("sft+shrink")).toEqual(labels("sft"));
  expect(labels("sft")[0]).toBe("lr 1e-5");
  expect(found.map(({ method }) => method)).toEqual(["sft", "sft+shrink"]);
  for (const { strength, folders, after } of found) {
    expect(labels("sft")).toContain(strength);
    expect(after.harmful.total).toBe(6);
    expect(existsSync(join(options.out, folders?.attack ?? "", "model.json"))).toBe(true);
  }
  expect(renderMarkdown(result)).toContain("## The worst attack that a search finds");
  const seen: string[] = [];
  await runExperiment(options, { emit: states(seen) });
  expect(new Set(seen)).toEqual(new Set(["skipped"]));
  expect(toldBy(options.out)).toEqual(result);
  // What the report asks is asked of no trial.
  const run = JSON.parse(readFileSync(join(options.out, found[0]?.folders?.attack ?? "", "run.json"), "utf8"));
  expect(run.config.avoid.map(({ path }: { path: string }) => path)).toContain(world.data("harmful-0"));
});

test("halving: shorter trainings first, the same bytes after a stop", async () => {
  const search = {
    budget: 3,
    strategy: "halving" as const,
    space: { learningRate: [1e-3, 1e-2, 3e-2], loraRank: [2, 4, 8] },
  };
  const options = experiment("halving", search, { methods: ["sft"] });
  const whole = await runExperiment(options);
  expect(whole.search?.trials.map(({ share }) => Math.round(1 / share))).toEqual([
    ...Array<number>(9).fill(9),
    ...Array<number>(3).fill(3),
    1,
  ]);
  const last = whole.search?.trials.at(-1);
  expect(whole.search?.found[0]?.strength).toBe(last?.label);
  const again = { ...options, out: join(world.folder, "halving-again") };
  const stop = new AbortController();
  let done = 0;
  const emit = (event: { type: string; state?: string }) => {
    if (event.type === "piece" && event.state === "done" && ++done === 9) stop.abort();
  };
  await expect(runExperiment(again, { emit, signal: stop.signal })).rejects.toThrow("stopped");
  const rest = await runExperiment(again);
  expect(rest.search).toEqual(whole.search);
  const attackOf = (out: string) => bytesOf(join(out, whole.search?.found[0]?.folders?.attack ?? ""));
  const [one, other] = [attackOf(options.out), attackOf(again.out)];
  expect(other["adapter/adapter_model.safetensors"]).toBe(one["adapter/adapter_model.safetensors"]);
});

test("what diverges is a trial lost, not the search", async () => {
  const search = { budget: 3, space: { learningRate: [1e-3, 1e30] } };
  const options = experiment("diverged", search, { methods: ["sft"] });
  const result = await runExperiment({ ...options, attack: { ...options.attack, steps: 8 } });
  expect(result.search?.trials.filter(({ scores }) => scores === undefined)).toHaveLength(1);
  expect(result.search?.found).toHaveLength(1);
  expect(toldBy(options.out)).toEqual(result);
});

test("questions of the report, and bounds that a search cannot see, are refused", async () => {
  const own = experiment("own", { budget: 2, space: { epochs: [1, 2] } });
  const search = { budget: 2, space: { epochs: [1, 2] }, harmful: own.evaluate.harmful };
  await expect(runExperiment({ ...own, attack: { ...own.attack, search } })).rejects.toThrow(
    "judges its trials by questions of the report",
  );
  await expect(runExperiment({ ...own, overRefusalBound: 20 })).rejects.toThrow("expected attack.search.harmless");
});
