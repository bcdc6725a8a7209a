import { join } from "node:path";
import { writeFileAtomic, writeFiles } from "../../formats/atomic-file.ts";
import { type Written, written } from "../../formats/encode-tensor.ts";
import { streamSafetensors } from "../../formats/safetensors.ts";
import { configText } from "../../models/config.ts";
import { standsTransposed, transposed } from "../../models/orientation.ts";
import type { Exporting } from "./merged-model.ts";

/** What Hugging Face's library calls it. */
const TORCH_DTYPES = { F32: "float32", F16: "float16", BF16: "bfloat16", Q8_0: "float32" } as const;

/** A Hugging Face folder: weights in one file, or in shards with their index. The configuration last, since a folder without it is no model. */
export function exportSafetensors(folder: string, made: Exporting): void {
  const { origin, model, format } = made;
  writeFiles(folder, origin.base.tokenizerFiles());
  const tensors = [...model.weights].map(([name, shape]): [string, Written] => {
    const turned = standsTransposed(made.config, name);
    const load = () => {
      made.told();
      return turned ? transposed(made.load(name)) : made.load(name);
    };
    return [name, written(format, turned ? shape.toReversed() : shape, load)];
  });
  const shards = shardsOf(tensors, made.shardBytes);
  const nameOf = (i: number) =>
    shards.length === 1 ? "model.safetensors" : `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
  for (const [i, shard] of shards.entries()) {
    streamSafetensors(join(folder, nameOf(i)), new Map(shard), { format: "pt" });
  }
  if (shards.length > 1) {
    const total = tensors.reduce((sum, [, { size }]) => sum + size, 0);
    const map = shards.flatMap((shard, i) => shard.map(([name]) => [name, nameOf(i)]));
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
    writeFileAtomic(join(folder, "model.safetensors.index.json"), [
      Buffer.from(`${JSON.stringify(index, undefined, 2)}\n`),
    ]);
  }
  const { torch_dtype: _, ...config } = made.config;
  const key = "dtype" in config ? "dtype" : "torch_dtype";
  writeFileAtomic(join(folder, "config.json"), [Buffer.from(configText({ ...config, [key]: TORCH_DTYPES[format] }))]);
}

/** Tensors in their order, as many together as fit; a larger one stands alone. */
function shardsOf(tensors: readonly [string, Written][], most: number): [string, Written][][] {
  const shards: [string, Written][][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const { size } = tensor[1];
    if (shards.length === 0 || size > room) {
      shards.push([]);
      room = most;
    }
    shards.at(-1)?.push(tensor);
    room -= size;
  }
  return shards;
}

const digits = (number: number): string => `${number}`.padStart(5, "0");
