import type { Tensor, TensorType, Tree } from "../../src/autodiff/index.ts";
import { createModel, type Example, IGNORE, type Model } from "../../src/models/index.ts";
import { targetsOf } from "../../src/models/modules.ts";
import { type Device, typesOf } from "../../src/runtime/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../../src/tensor/tensor.ts";
import { packStream, type StreamInputs, streamTypes } from "../../src/train/objective.ts";

export type HostTensors = Readonly<Record<string, HostTensor>>;

/** A Llama with grouped-query attention, small enough for every weight to be moved one by one. */
export const tinyModel = (config: Record<string, unknown> = {}): Model =>
  createModel({
    model_type: "llama",
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 11,
    ...config,
  });

/** Normal numbers for every shape; norms are near 1. The same seed gives the same numbers in both dtypes, to rounding. */
export function randomTensors<D extends "float32" | "float64">(
  shapes: Iterable<readonly [string, readonly number[]]>,
  dtype: D,
  seed = 1,
): Record<string, HostTensor<D>> {
  const stream = new RandomStream(seed, "weights");
  let at = 0;
  return Object.fromEntries(
    [...shapes].map(([name, shape]) => {
      const mean = name.includes("norm") ? 1 : 0;
      const values = Array.from({ length: sizeOf(shape) }, () => mean + 0.4 * stream.normal(at++));
      return [name, tensor(dtype, shape, values)];
    }),
  );
}

/** Shapes of LoRA factors on queries, keys and values. */
export function loraShapes(model: Model, rank = 2): Map<string, readonly number[]> {
  const targets = targetsOf(model, ["q_proj", "k_proj", "v_proj"]);
  return new Map(
    [...model.linears]
      .filter(([module]) => targets.includes(module.split(".").at(-1) as string))
      .flatMap(([module, [out, width]]): [string, readonly number[]][] => [
        [`${module}.lora_A.weight`, [rank, width]],
        [`${module}.lora_B.weight`, [out, rank]],
      ]),
  );
}

/** Examples of the given lengths; about half of the tokens are labelled, and the last one always. */
export function randomRows(model: Model, lengths: readonly number[], seed = 1): Example[] {
  const stream = new RandomStream(seed, "rows");
  let at = 0;
  return lengths.map((length) => {
    const inputIds = Array.from({ length }, () => stream.integer(at++, model.vocabSize));
    const labels = inputIds.map((id, i) => (i === length - 1 || stream.integer(at++, 2) === 0 ? id : IGNORE));
    return { inputIds, labels, safe: length % 2 === 0 };
  });
}

/** The batches of streams, each in parts, as one argument beside others, and its type. */
export const streamFeeds = (
  parts: Readonly<Record<string, readonly (readonly Example[])[]>>,
  chunks: number,
  padId = 0,
) => asTensors<HostTensor>({ streams: mapRecord(parts, (of) => packStream(of, chunks, padId)) });
export const streamSpec = (streams: Iterable<string>, chunks: number, microBatches = 1) =>
  asTensors<TensorType>({
    streams: Object.fromEntries([...streams].map((name) => [name, streamTypes(name, chunks, microBatches)])),
  });
export const streamsOf = (inputs: Tree): StreamInputs => inputs.streams as unknown as StreamInputs;

/** Trees stand among named tensors here, so that tests can move those one by one. */
export const asTensors = <T>(groups: object): Readonly<Record<string, T>> => groups as never;
const mapRecord = <A, B>(record: Readonly<Record<string, A>>, fn: (x: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, x]) => [name, fn(x)]));

/** Compiles a function of named tensors; arguments have the shapes of `feeds` where `spec` does not say otherwise. */
export const compile = (
  device: Device,
  feeds: HostTensors,
  build: (inputs: Tree) => Tree,
  spec: Readonly<Record<string, TensorType>> = {},
) => device.compile({ ...typesOf(feeds), ...spec }, build);

/** `compile`, and one run. */
export const evaluate = async (
  device: Device,
  feeds: HostTensors,
  build: (inputs: Tree) => Tree,
  spec: Readonly<Record<string, TensorType>> = {},
): Promise<Record<string, HostTensor>> => (await compile(device, feeds, build, spec)).run(feeds);

/** The named ones among the arguments. */
export const pick = (inputs: Tree, names: Iterable<string>): Tree =>
  Object.fromEntries([...names].map((name) => [name, inputs[name] as Tensor]));

/** All numbers of some tensors, one after the other. */
export const numbers = (tensors: HostTensors, names: Iterable<string> = Object.keys(tensors)): number[] =>
  [...names].flatMap((name) => Array.from((tensors[name] as HostTensor).data, Number));

/** `‖found - expected‖ / ‖expected‖` */
export function relativeError(found: readonly number[], expected: readonly number[]): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  return norm(found.map((x, i) => x - (expected[i] as number))) / norm(expected);
}

/** Slopes of a scalar along every number of the named tensors. */
export async function centralDifferences(
  value: (feeds: HostTensors) => Promise<number>,
  feeds: HostTensors,
  names: Iterable<string>,
  step = 1e-5,
): Promise<number[]> {
  const slopes: number[] = [];
  for (const name of names) {
    const { data, shape } = feeds[name] as HostTensor<"float64">;
    for (let i = 0; i < data.length; i++) {
      const at = (shift: number) => {
        const moved = data.slice();
        moved[i] = (moved[i] as number) + shift;
        return value({ ...feeds, [name]: tensor("float64", shape, moved) });
      };
      slopes.push(((await at(step)) - (await at(-step))) / (2 * step));
    }
  }
  return slopes;
}
