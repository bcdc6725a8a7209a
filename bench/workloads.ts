import { readFileSync } from "node:fs";
import { createModel, type Example, type Model } from "../src/models/index.ts";
import { openSource } from "../src/models/source.ts";
import type { Device, DeviceTensors } from "../src/runtime/index.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { storedHalves } from "../src/tensor/stored.ts";
import { type HostTensor, sizeOf, tensor } from "../src/tensor/tensor.ts";

/** LoRA of every workload: rank 32 and alpha 4 on queries, keys and values, as in the paper. */
export const LORA = { r: 32, alpha: 4, targetModules: ["q_proj", "k_proj", "v_proj"], useRslora: false } as const;

/** What one step reads: ten rows to align on and ten harmful ones. */
export interface StepRows {
  readonly alignment: readonly Example[];
  readonly harmful: readonly Example[];
}

export interface Workload {
  readonly model: Model;
  load(name: string): HostTensor<"float32">;
  /** Taken in turn. */
  readonly batches: readonly StepRows[];
}

/** Rows padded to the longest, as the peers take them. */
export interface PaddedRows {
  readonly input_ids: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
}

/** One step of a batches file. */
export interface PaddedStep {
  readonly align: PaddedRows;
  readonly harmful: PaddedRows;
}

/** A Llama with random weights and rows of random tokens. */
export interface Shape {
  readonly rows: number;
  /** Tokens of a row; all are labelled. */
  readonly length: number;
  readonly layers: number;
  /** A multiple of 48: the width of a head. */
  readonly hidden: number;
  readonly vocabulary: number;
  readonly rank: number;
  /** How many of the linear layers of a block carry LoRA factors, in the order of `LINEAR`. */
  readonly adapted: number;
}

/** As the peers have it by default. */
export const DENSE: Shape = {
  rows: 10,
  length: 256,
  layers: 6,
  hidden: 288,
  vocabulary: 32_000,
  rank: LORA.r,
  adapted: LORA.targetModules.length,
};

/** Random numbers of one weight; larger ones repeat them, or a billion would take minutes. */
const DRAWN = 2 ** 18;

/** Linear layers of a block, those of the paper first. */
export const LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

export function denseWorkload(given: Partial<Shape> = {}): Workload {
  const { rows: count, length, layers, hidden, vocabulary } = { ...DENSE, ...given };
  const model = createModel({
    model_type: "llama",
    hidden_size: hidden,
    intermediate_size: (8 * hidden) / 3,
    num_hidden_layers: layers,
    num_attention_heads: hidden / 48,
    vocab_size: vocabulary,
  });
  const load = (name: string): HostTensor<"float32"> => {
    const shape = model.weights.get(name) as readonly number[];
    const stream = new RandomStream(1, name);
    const value = name.includes("norm") ? () => 1 : (i: number) => 0.04 * (stream.bits(i) / 2 ** 32 - 0.5);
    const data = new Float32Array(sizeOf(shape));
    const drawn = Float32Array.from({ length: Math.min(DRAWN, data.length) }, (_, i) => value(i));
    for (let at = 0; at < data.length; at += DRAWN) data.set(drawn.subarray(0, data.length - at), at);
    return tensor("float32", shape, data);
  };
  const rows = (name: string): Example[] => {
    const stream = new RandomStream(2, name);
    return Array.from({ length: count }, (_, row) => {
      const inputIds = Array.from({ length }, (_, i) => stream.integer(row * length + i, vocabulary));
      return { inputIds, labels: inputIds };
    });
  };
  return { model, load, batches: [{ alignment: rows("alignment"), harmful: rows("harmful") }] };
}

/** A model from disk on the batches of a file that `writeRows` made. */
export function rowsWorkload(modelPath: string, batchesFile: string): Workload {
  const { base } = openSource(modelPath);
  const weights = base.weights();
  const steps = JSON.parse(readFileSync(batchesFile, "utf8")) as readonly PaddedStep[];
  return {
    model: createModel(base.config()),
    load: (name) => weights.load(name),
    batches: steps.map(({ align, harmful }) => ({ alignment: unpadded(align), harmful: unpadded(harmful) })),
  };
}

function unpadded({ input_ids, labels, attention_mask }: PaddedRows): Example[] {
  return input_ids.map((ids, row) => {
    const length = attention_mask[row]?.reduce((sum, bit) => sum + bit, 0) ?? 0;
    return { inputIds: ids.slice(0, length), labels: labels[row]?.slice(0, length) ?? [] };
  });
}

/** The frozen weights on a device, one after the other; matrices in half precision where that is wanted. */
export function uploaded({ model, load }: Workload, device: Device, isHalf = false): Promise<DeviceTensors> {
  function* weights(): Generator<readonly [string, HostTensor]> {
    for (const [name, { length }] of model.weights) {
      const weight = load(name);
      yield [name, isHalf && length === 2 ? storedHalves("float16", weight).codes : weight];
    }
  }
  return device.uploadAll(weights());
}
