import { join } from "node:path";
import { writeAdapter } from "../src/formats/peft.ts";
import { createModel, freshLora } from "../src/models/index.ts";
import { openSource } from "../src/models/source.ts";
import type { Ask, ServedAdapter } from "../src/service/engine/types.ts";
import { RandomStream } from "../src/tensor/random.ts";

/** What a bench of the serving engine is given. */
export interface ServingBench {
  readonly model: string;
  readonly scratch: string;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

export const RANK = 16;

/** What most requests do not say. */
export const PLAIN = {
  n: 1,
  usualNewTokens: 1,
  temperature: 0,
  topP: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map<number, number>(),
  echo: false,
} satisfies Partial<Ask>;

interface Written {
  readonly folder: string;
  readonly served: ServedAdapter;
}

/** Adapters with random numbers, small ones, so that answers stay text. */
export const writeAdapters = (path: string, scratch: string, count: number): Written[] =>
  Array.from({ length: count }, (_, i) => {
    const random = new RandomStream(i, "bench");
    return write(path, join(scratch, `adapter-${i}`), `adapter-${i}`, i, (at) => 0.01 * random.normal(at));
  });

/** One whose products are larger than float32 can be. */
export const overflowing = (path: string, scratch: string): Written =>
  write(path, join(scratch, "overflowing"), "overflowing", 0, () => 3e38);

/** @param b what the second factors hold */
function write(path: string, folder: string, key: string, seed: number, b: (at: number) => number): Written {
  const model = createModel(openSource(path).base.config());
  const config = { r: RANK, alpha: RANK, targetModules: ["q_proj", "k_proj", "v_proj"], useRslora: false };
  const tensors = freshLora(model, config, seed);
  for (const [name, { data }] of tensors) {
    if (name.includes("lora_B")) for (let at = 0; at < data.length; at++) data[at] = b(at);
  }
  writeAdapter(folder, config, tensors, { baseModel: path });
  const names = ["adapter_config.json", "adapter_model.safetensors"];
  return { folder, served: { key, files: Object.fromEntries(names.map((name) => [name, join(folder, name)])) } };
}
