/** Answers, and the cache that they come from, on the CPU and on WebGPU; prints what came out as JSON. */
import { KvCache } from "../../src/generate/cache.ts";
import { CopiedCache, compileAppend } from "../../src/generate/device-cache.ts";
import { Generator } from "../../src/generate/index.ts";
import { createModel, type Model } from "../../src/models/index.ts";
import { Device, type DeviceTensor } from "../../src/runtime/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { type TinyFamily, VARIANTS } from "../conformance/tiny-families.ts";
import { randomTensors } from "../conformance/tiny-model.ts";

export interface GenerateReport {
  /** Greedy answers on the CPU and on the GPU. */
  readonly cpu: readonly (readonly number[])[];
  readonly gpu: readonly (readonly number[])[];
  /** Numbers of copies on the device that were not those of the cache, over many steps. */
  readonly wrong: number;
  readonly compared: number;
  /** Copies that were not in a buffer of the GPU. */
  readonly elsewhere: number;
  /** How often keys or values were brought to the device: while rows only grow, and over all. */
  readonly uploads: { readonly growing: number; readonly all: number };
}

/** Counts what is brought to it. */
class CountingDevice extends Device {
  uploads = 0;
  override upload(host: HostTensor): Promise<DeviceTensor> {
    this.uploads++;
    return super.upload(host);
  }
}

async function answer(device: Device, model: Model, prompts: readonly (readonly number[])[]) {
  const weights = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32", 1)));
  const generator = await Generator.create({ device, model, weights });
  const ends = (token: number, prompt: number) => (token + prompt) % 7 === 0;
  const answers = await generator.generate(prompts, { maxNewTokens: 6, batchSize: 4, ends });
  return answers.map(({ ids }) => ids);
}

/** Rows come, grow past the room for them, and leave; after each step the copy is compared with the cache. */
async function follow(model: Model) {
  const device = new CountingDevice({ provider: "webgpu" });
  const random = new RandomStream(5, "cache");
  let at = 0;
  const drawn = (size: number) => Float32Array.from({ length: size }, () => random.normal(at++));
  const cache = new KvCache(model);
  const program = compileAppend(device, model);
  const copy = new CopiedCache(device, model, () => program, cache, undefined);
  const width = model.kvHeads * model.headDim;
  const own: number[] = [];
  const add = (tokens: number) => {
    own.push(tokens);
    const stores = Array.from({ length: 2 * model.layers }, () => drawn(tokens * width));
    cache.add({ stores, row: 0, places: tokens, tokens });
  };
  let [wrong, compared, elsewhere] = [0, 0, 0];
  const compare = async () => {
    const seen = (await copy.seen()).cache.flatMap(({ keys, values }) => [keys, values]) as DeviceTensor[];
    const expected = cache.views().flatMap(({ keys, values }) => [keys, values]);
    for (const [i, tensor] of seen.entries()) {
      if (tensor.location !== "gpu-buffer") elsewhere++;
      const { data } = await device.download(tensor);
      (expected[i] as HostTensor).data.forEach((value, j) => {
        compared++;
        if (value !== data[j]) wrong++;
      });
    }
  };
  const step = async () => {
    const fresh = drawn(own.length * 2 * model.layers * width);
    await copy.seen();
    copy.append(own, tensor("float32", [own.length, fresh.length / own.length], fresh));
    cache.append(fresh);
    for (const row of own.keys()) own[row] = (own[row] as number) + 1;
  };
  add(9);
  add(3);
  for (let i = 0; i < 12; i++) await step();
  await compare();
  const growing = device.uploads;
  add(58);
  for (let i = 0; i < 70; i++) await step();
  await compare();
  cache.remove(0);
  own[0] = own.pop() as number;
  await step();
  await compare();
  copy.release();
  return { wrong, compared, elsewhere, uploads: { growing, all: device.uploads } };
}

const beginning = Array.from({ length: 45 }, (_, i) => (5 * i) % 7);
/** A prompt that is longer than the window, and answers that end at different times. */
const PROMPTS = [[1, 2, 3, 4, 5, 6, 1, 2], [4, 5], [6]];
/** Enough of them for their beginning to be computed once. */
const ALIKE = Array.from({ length: 13 }, (_, i) => [...beginning, i % 5, i % 3]);
/** One layer with a window and one without. */
const { config } = VARIANTS.find(({ name }) => name === "qwen2, a window in one layer") as TinyFamily;
const model = createModel(config);
const both = async (device: Device) => [
  ...(await answer(device, model, PROMPTS)),
  // A driver that compiles shaders for a processor takes seconds for each program.
  ...(process.env.BOOSTER_NIGHTLY === undefined ? [] : await answer(device, model, ALIKE)),
];
const [cpu, gpu] = [await both(new Device({ threads: 2 })), await both(new Device({ provider: "webgpu" }))];
console.log(JSON.stringify({ cpu, gpu, ...(await follow(model)) } satisfies GenerateReport));
// The software driver's threads would keep the process alive.
process.exit(0);
