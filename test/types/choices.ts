/** What the compiler says of names and settings; `tsc` is the test. Where an error is expected and there is none, it fails. */
import { choose } from "../../src/choice.ts";
import { demoExperiment } from "../../src/experiments/demo.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { align } from "../../src/stages/align.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { repair } from "../../src/stages/repair.ts";

const data = { run: "r", model: "m", alignment: "a", task: "t" } as const;
const { task: _, ...aligning } = data;
const { alignment: __, ...tuning } = data;

export const compiled = () => [
  align({ ...aligning, method: "booster" }),
  align({ ...aligning, method: { name: "booster", lambda: 1 }, optimizer: "sgd" }),
  // @ts-expect-error there is no such method
  align({ ...aligning, method: "boster" }),
  // @ts-expect-error there is no such method
  align({ ...aligning, method: { name: "boster" } }),
  // @ts-expect-error Booster has no such setting
  align({ ...aligning, method: { name: "booster", lamda: 1 } }),
  // @ts-expect-error a number
  align({ ...aligning, method: { name: "booster", lambda: "large" } }),
  // @ts-expect-error momentum is SGD's
  align({ ...aligning, optimizer: { name: "adamw", momentum: 0.9 } }),
  finetune({ ...tuning, attack: "mixing", moderation: { name: "classifier", file: "guard.json" } }),
  // @ts-expect-error a classifier is a file
  finetune({ ...tuning, moderation: { name: "classifier" } }),
  repair({ ...tuning, method: { name: "antidote", denseRatio: 0.1 } }),
  // @ts-expect-error training methods repair nothing
  repair({ ...tuning, method: "lisa" }),
];

const { methods: ___, ...rest } = demoExperiment({
  out: "o",
  methods: [],
  base: 1,
  seeds: [1],
  strengths: [1e-4],
  jobs: 1,
});

export const experiments = () => [
  runExperiment({ ...rest, methods: ["sft", ["vaccine", "lisa", { name: "antidote", denseRatio: 0.1 }]] }),
  runExperiment({ ...rest, methods: [{ id: "b", method: { name: "booster", lambda: 2 } }] }),
  // @ts-expect-error there is no such method
  runExperiment({ ...rest, methods: ["sft", "boster"] }),
  // @ts-expect-error Lisa has no such setting
  runExperiment({ ...rest, methods: [["vaccine", { name: "lisa", lambda: 1 }]] }),
];

/** What a choice makes has the type of the table. */
export const forward: number = choose(METHODS, { name: "booster" }).passes.forward;
