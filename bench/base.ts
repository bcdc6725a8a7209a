/**
 * Steps of LoRA on frozen weights in one of the forms that they may be kept in, in a process of its own: memory and time. Prints one line
 * of JSON.
 *
 *     node dist/bench/base.js --model FILE.gguf --base int8 [--method booster] [--tokens 600] [--steps 5] [--memory low]
 *     node dist/bench/base.js --shape 7b --base int4       random weights of a model's shape, made in that form
 */

import { randomFillSync } from "node:crypto";
import { parseArgs } from "node:util";
import { choose } from "../src/choice.ts";
import { METHODS } from "../src/methods/registry.ts";
import { createModel, type Example, type Model } from "../src/models/index.ts";
import { freshLora, loadBase, loraScale } from "../src/models/load.ts";
import { openSource } from "../src/models/source.ts";
import { BASES, type BaseForm, namedParts } from "../src/models/storages.ts";
import { adamW } from "../src/optim/index.ts";
import { Device, type DeviceTensors } from "../src/runtime/index.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { GROUP, type Stored } from "../src/tensor/stored.ts";
import { type HostTensor, zeros } from "../src/tensor/tensor.ts";
import { TrainingProgram } from "../src/train/training-program.ts";
import { peakMemory } from "./memory.ts";

const { values: args } = parseArgs({
  options: {
    model: { type: "string" },
    shape: { type: "string", default: "7b" },
    base: { type: "string" },
    method: { type: "string", default: "sft" },
    tokens: { type: "string", default: "600" },
    steps: { type: "string", default: "5" },
    rank: { type: "string", default: "32" },
    memory: { type: "string", default: "speed" },
    threads: { type: "string" },
  },
});

/** Published models of these sizes: Qwen 2.5 1.5B as a Llama, Llama 2 7B. */
const SHAPES: Readonly<Record<string, object>> = {
  "1.5b": {
    hidden_size: 1536,
    intermediate_size: 8960,
    num_hidden_layers: 28,
    num_attention_heads: 12,
    num_key_value_heads: 2,
    vocab_size: 151_936,
    tie_word_embeddings: true,
  },
  "7b": {
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: 32_000,
  },
};

const form = args.base as BaseForm | undefined;
if (form !== undefined && !BASES.includes(form)) throw new Error(`--base is one of ${BASES.join(", ")}`);
const device = new Device(args.threads === undefined ? {} : { threads: Number(args.threads) });

/** A tensor of random bytes. */
function randomTensor<D extends "int8" | "uint8" | "uint16" | "float32">(dtype: D, shape: readonly number[]) {
  const made = zeros(dtype, shape);
  const bytes = new Uint8Array(made.data.buffer);
  for (let at = 0; at < bytes.length; at += 2 ** 30) randomFillSync(bytes, at, Math.min(2 ** 30, bytes.length - at));
  return made;
}

const filled = (shape: readonly number[], value: number): HostTensor<"float32"> => {
  const made = zeros("float32", shape);
  made.data.fill(value);
  return made;
};

/** A matrix whose products neither grow nor vanish, made in the form that it is kept in: nothing wider ever exists. */
function randomMatrix([rows = 0, width = 0]: readonly number[], wanted: BaseForm): Stored | HostTensor<"float32"> {
  const size = 1.7 / Math.sqrt(width);
  const groups = [rows, width / GROUP];
  if (wanted === "int8") return { codes: randomTensor("int8", [rows, width]), scales: filled(groups, size / 128) };
  if (wanted === "int4") {
    const codes = randomTensor("uint8", [rows, width / 2]);
    return { codes, scales: filled(groups, size / 7.5), minima: filled(groups, -size) };
  }
  if (wanted === "bfloat16") {
    const codes = randomTensor("uint16", [rows, width]);
    // Any sign and fraction, and the exponent of the size.
    const exponent = (127 + Math.round(Math.log2(size))) << 7;
    codes.data.forEach((bits, i) => {
      codes.data[i] = (bits & 0x807f) | exponent;
    });
    return { codes };
  }
  const { shape, data } = randomTensor("float32", [rows, width]);
  const bits = new Int32Array(data.buffer);
  for (let i = 0; i < data.length; i++) data[i] = (size * (bits[i] as number)) / 2 ** 31;
  return { dtype: "float32", shape, data };
}

async function randomModel(config: object): Promise<{ model: Model; weights: DeviceTensors }> {
  const model = createModel({ model_type: "llama", ...config });
  const weights: Record<string, DeviceTensors[string]> = {};
  for (const [name, shape] of model.weights) {
    const isTable = name === model.embedding || name === model.head;
    const made =
      shape.length === 1
        ? filled(shape, 1)
        : randomMatrix(shape, form === "int4" && isTable ? "int8" : (form ?? "float32"));
    Object.assign(weights, await device.uploadAll("codes" in made ? namedParts(name, made) : [[name, made]]));
  }
  return { model, weights };
}

const { model, weights } =
  args.model === undefined
    ? await randomModel(SHAPES[args.shape] as object)
    : await loadBase(openSource(args.model).base, device, { form });
const loadPeakBytes = peakMemory();
const weightBytes = Object.values(weights).reduce((sum, { data }) => sum + (data as Uint8Array).byteLength, 0);

const targetModules = [...new Set([...model.linears.keys()].map((name) => name.split(".").at(-1) as string))];
const lora = { r: Number(args.rank), alpha: 4, targetModules, useRslora: false };
const program = await TrainingProgram.compile({
  device,
  model,
  frozen: weights,
  adapter: { scale: loraScale(lora), tensors: freshLora(model, lora, 3) },
  method: choose(METHODS, { name: args.method }),
  optimizer: adamW({ weightDecay: 0.1 }),
  maxGradNorm: 1,
  chunks: args.memory === "low" ? 16 : 4,
  recompute: args.memory === "low",
});

const ROWS = 4;
const length = Math.ceil(Number(args.tokens) / ROWS);
const random = new RandomStream(2, "rows");
const rows = Array.from({ length: ROWS }, (_, row): Example => {
  const inputIds = Array.from({ length }, (_, i) => random.integer(row * length + i, model.vocabSize));
  return { inputIds, labels: inputIds.map((id, i) => (2 * i < length ? -100 : id)) };
});
const streams = choose(METHODS, { name: args.method }).streams;
const batch = Object.fromEntries(streams.map((stream) => [stream, [rows]]));
const stepSeconds: number[] = [];
/** With one thread hardly touched by what else the machine does. */
const cpuSeconds: number[] = [];
let metrics: Readonly<Record<string, number>> = {};
for (let step = 0; step < Number(args.steps); step++) {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  metrics = await program.step(batch, 5e-4);
  stepSeconds.push((performance.now() - start) / 1000);
  const { user, system } = process.cpuUsage(cpu);
  cpuSeconds.push((user + system) / 1e6);
}
console.log(
  JSON.stringify({
    base: form ?? "as stored",
    weightBytes,
    loadPeakBytes,
    peakRssBytes: peakMemory(),
    stepSeconds,
    cpuSeconds,
    metrics,
  }),
);
