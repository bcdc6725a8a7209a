/**
 * One measurement of our own training step, in a process of its own. Prints one line of JSON.
 *
 *     node dist/bench/ours.js --workload dense --method sft [--steps 5] [--warmup 1] [--memory low] [--chunks 4]
 *     node dist/bench/ours.js --workload rows --method booster --model FILE.gguf --batches FILE.json
 *     node dist/bench/ours.js --workload dense --profile PREFIX     also says which operators took the time
 *     node dist/bench/ours.js --workload dense --shape '{"length": 2048, "rows": 1}'
 *     node dist/bench/ours.js --workload dense --provider webgpu --base float16
 */

import { parseArgs } from "node:util";
import { choose } from "../src/choice.ts";
import { METHODS } from "../src/methods/registry.ts";
import { freshLora, loraScale } from "../src/models/load.ts";
import { adamW } from "../src/optim/index.ts";
import { Device, type Provider } from "../src/runtime/index.ts";
import { LONG } from "../src/stages/training-run.ts";
import { TrainingProgram } from "../src/train/training-program.ts";
import { passFlops } from "./flops.ts";
import { peakMemory } from "./memory.ts";
import { DENSE, denseWorkload, LINEAR, LORA, rowsWorkload, type Shape, type StepRows, uploaded } from "./workloads.ts";

const { values: args } = parseArgs({
  options: {
    workload: { type: "string", default: "dense" },
    method: { type: "string", default: "sft" },
    steps: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
    memory: { type: "string", default: "speed" },
    chunks: { type: "string" },
    model: { type: "string", default: "" },
    batches: { type: "string", default: "" },
    profile: { type: "string" },
    shape: { type: "string", default: "{}" },
    provider: { type: "string", default: "cpu" },
    base: { type: "string", default: "float32" },
  },
});
const shape: Shape = { ...DENSE, ...JSON.parse(args.shape) };
const workload = args.workload === "dense" ? denseWorkload(shape) : rowsWorkload(args.model, args.batches);
const { model, batches } = workload;
const lora = { ...LORA, r: shape.rank, targetModules: LINEAR.slice(0, shape.adapted) };
const device = new Device({
  provider: args.provider as Provider,
  ...(args.profile === undefined ? {} : { profilePrefix: args.profile }),
});
const low = args.memory === "low";
const frozen = await uploaded(workload, device, args.base === "float16");
const started = performance.now();
const program = await TrainingProgram.compile({
  device,
  model,
  frozen,
  adapter: { scale: loraScale(lora), tensors: freshLora(model, lora, 3) },
  method: choose(METHODS, { name: args.method }),
  optimizer: adamW({ weightDecay: 0.1 }),
  maxGradNorm: 1,
  chunks: args.chunks === undefined ? (low ? 16 : 4) : Number(args.chunks),
  recompute: low,
  blocks: low || shape.length > LONG,
});
const startupSeconds = (performance.now() - started) / 1000;

/** SFT passes over the alignment rows once, Booster over the harmful rows twice more. */
function stepFlops({ alignment, harmful }: StepRows): number {
  const pass = (rows: StepRows["alignment"]) => passFlops(model, lora.r, lora.targetModules, rows);
  return pass(alignment) + (args.method === "booster" ? 2 * pass(harmful) : 0);
}

const step = ({ alignment, harmful }: StepRows) => program.step({ alignment: [alignment], harmful: [harmful] }, 5e-4);
for (let i = 0; i < Number(args.warmup); i++) await step(batches[i % batches.length] as StepRows);
const stepSeconds: number[] = [];
let metrics: Readonly<Record<string, number>> = {};
for (let i = 0; i < Number(args.steps); i++) {
  const start = performance.now();
  metrics = await step(batches[i % batches.length] as StepRows);
  stepSeconds.push((performance.now() - start) / 1000);
}
console.log(
  JSON.stringify({
    stepSeconds,
    startupSeconds,
    peakRssBytes: peakMemory(),
    batchFlops: batches.map(stepFlops),
    metrics,
    ...(args.profile === undefined ? {} : { profile: program.profile().ops }),
  }),
);
// The threads of a software driver would keep the process alive.
if (!device.onHost) process.exit(0);
