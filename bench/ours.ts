/**
 * One measurement of our own training step, in a process of its own so that its peak memory is its own.
 * Usage: node dist/bench/ours.js --workload dense --method sft [--steps 5] [--memory low] [--model FILE --batches FILE]
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { openModel } from "../src/formats/weights.ts";
import { configureMethod } from "../src/methods/registry.ts";
import { createModel, type Example, type Model } from "../src/models/index.ts";
import { adamW } from "../src/optim/index.ts";
import { Device, profileTable } from "../src/runtime/index.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../src/tensor/tensor.ts";
import { TrainingProgram } from "../src/train/training-program.ts";

const { values: args } = parseArgs({
  options: {
    workload: { type: "string", default: "dense" },
    method: { type: "string", default: "sft" },
    steps: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
    memory: { type: "string", default: "speed" },
    chunks: { type: "string", default: "4" },
    model: { type: "string" },
    batches: { type: "string" },
    profile: { type: "string" },
  },
});

interface PaddedRows {
  readonly input_ids: number[][];
  readonly labels: number[][];
  readonly attention_mask: number[][];
}

const RANK = 32;
const ALPHA = 4;

/** d=288, 6 layers, vocabulary 32000, 10 rows of 256 tokens, every token labelled. */
function denseWorkload() {
  const model = createModel({
    model_type: "llama",
    hidden_size: 288,
    intermediate_size: 768,
    num_hidden_layers: 6,
    num_attention_heads: 6,
    vocab_size: 32_000,
  });
  const stream = new RandomStream(1, "bench");
  let at = 0;
  const weights = (name: string): HostTensor<"float32"> => {
    const shape = model.weights.get(name) as readonly number[];
    const norm = name.includes("norm");
    const data = new Float32Array(sizeOf(shape));
    for (let i = 0; i < data.length; i++) data[i] = norm ? 1 : 0.04 * (stream.bits(at++) / 2 ** 32 - 0.5);
    return tensor("float32", shape, data);
  };
  const rows = (name: string): Example[] => {
    const ids = new RandomStream(2, name);
    return Array.from({ length: 10 }, (_, r) => {
      const inputIds = Array.from({ length: 256 }, (_, t) => ids.integer(r * 256 + t, 32_000));
      return { inputIds, labels: inputIds };
    });
  };
  return { model, weights, batches: [{ alignment: rows("alignment"), harmful: rows("harmful") }] };
}

/** A real model on real rows, from files. */
function rowsWorkload(path: string, batchFile: string) {
  const opened = openModel(path);
  const model = createModel(opened.config);
  const rows = ({ input_ids, labels, attention_mask }: PaddedRows): Example[] =>
    input_ids.map((ids, r) => {
      const length = (attention_mask[r] as number[]).reduce((sum, bit) => sum + bit, 0);
      return { inputIds: ids.slice(0, length), labels: (labels[r] as number[]).slice(0, length) };
    });
  const file = JSON.parse(readFileSync(batchFile, "utf8")) as { align: PaddedRows; harmful: PaddedRows }[];
  const batches = file.map(({ align, harmful }) => ({ alignment: rows(align), harmful: rows(harmful) }));
  return { model, weights: (name: string) => opened.weights.load(name), batches };
}

function freshLora(model: Model): Map<string, HostTensor<"float32">> {
  const stream = new RandomStream(3, "lora");
  const lora = new Map<string, HostTensor<"float32">>();
  let at = 0;
  for (const [module, [out, width]] of model.linears) {
    if (!/\.(q|k|v)_proj$/.test(module)) continue;
    const down = Float32Array.from(
      { length: RANK * width },
      () => (stream.bits(at++) / 2 ** 31 - 1) / Math.sqrt(width),
    );
    lora.set(`${module}.lora_A.weight`, tensor("float32", [RANK, width], down));
    lora.set(`${module}.lora_B.weight`, tensor("float32", [out, RANK], new Float32Array(out * RANK)));
  }
  return lora;
}

const { model, weights, batches } =
  args.workload === "dense" ? denseWorkload() : rowsWorkload(args.model as string, args.batches as string);
const device = new Device({
  memory: args.memory as "speed" | "low",
  ...(args.profile === undefined ? {} : { profilePrefix: args.profile }),
});
const frozen = await device.uploadAll([...model.weights.keys()].map((name) => [name, weights(name)]));
const started = performance.now();
const program = await TrainingProgram.compile({
  device,
  model,
  frozen,
  trainable: freshLora(model),
  method: configureMethod(args.method),
  optimizer: adamW({ weightDecay: 0.1 }),
  maxGradNorm: 1,
  loraScale: ALPHA / RANK,
  chunks: Number(args.chunks),
});
const startupSeconds = (performance.now() - started) / 1000;
const stepSeconds: number[] = [];
let metrics: Readonly<Record<string, number>> = {};
for (let i = -Number(args.warmup); i < Number(args.steps); i++) {
  const { alignment, harmful } = batches[(i + batches.length) % batches.length] as (typeof batches)[number];
  const start = performance.now();
  metrics = await program.step({ alignment: [alignment], harmful: [harmful] }, 5e-4);
  if (i >= 0) stepSeconds.push((performance.now() - start) / 1000);
}
if (args.profile !== undefined) {
  console.error(profileTable(program.profile()));
}
const peakRssBytes = process.resourceUsage().maxRSS * 1024;
console.log(
  JSON.stringify({ workload: args.workload, method: args.method, stepSeconds, startupSeconds, peakRssBytes, metrics }),
);
