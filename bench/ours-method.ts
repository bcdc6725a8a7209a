/**
 * One method's step beside a step of SFT, in a process of its own. Prints one line of JSON.
 *
 *     node dist/bench/ours-method.js --method vaccine [--steps 5]
 */

import { parseArgs } from "node:util";
import { choose } from "../src/choice.ts";
import { METHODS } from "../src/methods/registry.ts";
import type { Example } from "../src/models/index.ts";
import { freshLora, loraScale } from "../src/models/load.ts";
import { adamW } from "../src/optim/index.ts";
import { Device } from "../src/runtime/index.ts";
import { planRun } from "../src/train/run-facts.ts";
import { TrainingProgram } from "../src/train/training-program.ts";
import { TrainingStepper } from "../src/train/training-stepper.ts";
import { peakMemory } from "./memory.ts";
import { denseWorkload, LORA } from "./workloads.ts";

const { values: args } = parseArgs({
  options: { method: { type: "string", default: "sft" }, steps: { type: "string", default: "5" } },
});
/** Short rows and a small vocabulary: some methods take dozens of passes in a step. */
const { model, load, batches } = denseWorkload({ length: 64, vocabulary: 4096 });
const rows: readonly Example[] = batches.flatMap(({ alignment, harmful }) => [...alignment, ...harmful]);
const device = new Device();
const frozen = await device.uploadAll([...model.weights.keys()].map((name) => [name, load(name)] as const));

/** Settings of methods whose defaults do not fit random weights, or that read other than ten rows of a stream in a pass. */
const SETTINGS: Readonly<Record<string, object>> = {
  "deep-alignment": { refusals: 10, anchors: 10 },
  vlguard: { safetyBatchSize: 10 },
  "sn-tune": { select: "top", topAttention: 288, topFeedForward: 768 },
  "rsn-tune": { select: "top", topAttention: 144, topFeedForward: 384, queries: 2 },
};
/** Methods that train the weights themselves; SFT beside them does so too. */
const isFull = choose(METHODS, { name: args.method }).trains === "full";

/** A method at work on ten rows a step. */
async function worker(name: string) {
  const method = choose(METHODS, { name, ...SETTINGS[name] });
  const streams = Object.fromEntries(method.streams.map((stream) => [stream, rows]));
  const counts = Object.fromEntries(method.streams.map((stream) => [stream, rows.length]));
  const { batches: drawn, facts } = planRun({
    model,
    method,
    rows: counts,
    batchSize: 10,
    seed: 1,
    steps: 1000,
    epochs: 1,
  });
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen,
    adapter: isFull
      ? { scale: 1, tensors: new Map([...model.weights.keys()].map((key) => [key, load(key)])) }
      : { scale: loraScale(LORA), tensors: freshLora(model, LORA, 3) },
    method,
    optimizer: adamW({ weightDecay: 0.1 }),
    maxGradNorm: 1,
    chunks: 4,
    rows: counts,
  });
  const stepper = new TrainingStepper({ program, rows: streams, facts });
  await stepper.prepare();
  return async (step: number): Promise<number> => {
    const batch = Object.fromEntries(Object.entries(drawn).map(([stream, source]) => [stream, [source.batch(step)]]));
    const start = performance.now();
    await stepper.step(batch, 5e-4, step);
    return (performance.now() - start) / 1000;
  };
}

// The first steps may prepare or look back on something, so those are timed that come after them.
const WARM_UP = 2;
const step = await worker(args.method);
for (let i = 0; i < WARM_UP; i++) await step(i);
const peakRssBytes = peakMemory();
const sft = await worker("sft");
for (let i = 0; i < WARM_UP; i++) await sft(i);
const [seconds, sftSeconds]: [number[], number[]] = [[], []];
for (let i = WARM_UP; i < WARM_UP + Number(args.steps); i++) {
  seconds.push(await step(i));
  sftSeconds.push(await sft(i));
}
const { forward, backward } = choose(METHODS, { name: args.method, ...SETTINGS[args.method] }).passes;
console.log(JSON.stringify({ seconds, sftSeconds, peakRssBytes, passes: { forward, backward } }));
