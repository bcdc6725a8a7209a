import { beforeAll, describe, expect, test, vi } from "vitest";
import { TINY_LLAMA } from "../../test/tiny-llama.ts";
import { ops } from "../autodiff/index.ts";
import { createModel, hiddenStates, packRows, rowsOf, rowTypes, weightsOf } from "../models/index.ts";
import { mergeLora } from "../models/merge.ts";
import { Device, type DeviceTensors, typesOf } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";
import { Generator } from "./generator.ts";

const model = createModel(TINY_LLAMA);
const device = new Device({ threads: 1 });
const random = new RandomStream(3, "test model");

function draw(
  shapes: Iterable<readonly [string, readonly number[]]>,
  from: number,
): Map<string, HostTensor<"float32">> {
  let next = from;
  return new Map(
    [...shapes].map(([name, shape]) => [
      name,
      tensor(
        "float32",
        shape,
        Array.from({ length: sizeOf(shape) }, () => 0.3 * random.normal(next++)),
      ),
    ]),
  );
}

const host = draw(model.weights, 0);
const lora = new Map<string, readonly number[]>(
  ["q_proj", "v_proj"].flatMap((projection): [string, readonly number[]][] => {
    const module = `model.layers.1.self_attn.${projection}`;
    const [out, width] = model.linears.get(module) as readonly [number, number];
    return [
      [`${module}.lora_A.weight`, [4, width]],
      [`${module}.lora_B.weight`, [out, 4]],
    ];
  }),
);
const prompts = Array.from({ length: 19 }, (_, row) =>
  Array.from({ length: 1 + ((row * 7) % 23) }, (_, i) => random.integer(10_000_000 + 100 * row + i, model.vocabSize)),
);

let weights: DeviceTensors;
let generator: Generator;
beforeAll(async () => {
  weights = await device.uploadAll(host);
  generator = await Generator.create({ device, model, weights });
});

/** Greedy decoding without a cache: the whole sequence anew for each token, through the training forward pass. */
async function recomputed(prompt: readonly number[], count: number): Promise<number[]> {
  const program = await device.compile({ base: typesOf(weights), rows: rowTypes("b") }, (given) => {
    const params = weightsOf(model, given.base);
    return { tokens: ops.argmax(params.logits(hiddenStates(model, params, rowsOf(given.rows)))) };
  });
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const { tokens } = await program.run({ base: weights, rows: packRows([{ ids, asked: [] }]) });
    ids.push(Number(tokens.data[ids.length - 1]));
  }
  return ids.slice(prompt.length);
}

describe("greedy decoding", () => {
  test("the cache changes nothing: same tokens as computing the whole sequence for each, past a growth of the cache", async () => {
    const chosen = prompts.slice(0, 3);
    const answers = await generator.generate(chosen, { maxNewTokens: 45 });
    for (const [i, prompt] of chosen.entries()) expect(answers[i]?.ids).toEqual(await recomputed(prompt, 45));
  });

  test("the batch changes nothing, stop tokens included: batch 1, 5 and 16 answer alike, in the order of the prompts", async () => {
    const [free] = await generator.generate(prompts.slice(0, 1), { maxNewTokens: 20 });
    const options = { maxNewTokens: 20, stopIds: [...new Set(free?.ids.slice(4, 8)), 7, 8, 9, 10] };
    const alone = await generator.generate(prompts, { ...options, batchSize: 1 });
    expect(await generator.generate(prompts, { ...options, batchSize: 5 })).toEqual(alone);
    expect(await generator.generate(prompts, { ...options, batchSize: 16 })).toEqual(alone);
    expect(new Set(alone.map(({ finish }) => finish))).toEqual(new Set(["stop", "length"]));
    expect(new Set(alone.map(({ ids }) => ids.length)).size).toBeGreaterThan(3);
    for (const { ids } of alone) expect(ids.some((id) => options.stopIds.includes(id))).toBe(false);
  });

  test("a stream gives the same tokens one by one, and may be left early", async () => {
    const prompt = prompts[3] as number[];
    const [answer] = await generator.generate([prompt], { maxNewTokens: 12 });
    const streamed: number[] = [];
    for await (const id of generator.stream(prompt, { maxNewTokens: 12 })) {
      streamed.push(id);
      if (streamed.length === 8) break;
    }
    expect(streamed).toEqual(answer?.ids.slice(0, 8));
  });

  test("progress counts answers up to all of them", async () => {
    const seen: number[] = [];
    await generator.generate(prompts, { maxNewTokens: 2, onProgress: (answered) => seen.push(answered) });
    expect(seen).toEqual(prompts.map((_, i) => i + 1));
  });

  test("what prompts begin with in common is computed once and changes nothing", async () => {
    const beginning = Array.from({ length: 40 }, (_, i) => random.integer(20_000_000 + i, model.vocabSize));
    const long = prompts.map((prompt) => [...beginning, ...prompt]);
    const share = vi.spyOn(Engine.prototype, "share");
    const answers = await generator.generate(long, { maxNewTokens: 12 });
    expect(share.mock.calls).toEqual([[beginning]]);
    share.mockClear();
    for (const [i, prompt] of long.entries()) {
      expect(answers[i]).toEqual((await generator.generate([prompt], { maxNewTokens: 12 }))[0]);
    }
    expect(share).not.toHaveBeenCalled();
    share.mockRestore();
  });

  test("no prompts, no answers", async () => {
    expect(await generator.generate([], { maxNewTokens: 2 })).toEqual([]);
  });
});

describe("adapters", () => {
  const tensors = draw(lora, 20_000_000);

  test("LoRA factors are arguments: one generator serves several adapters, each as if merged into the weights", async () => {
    const adapted = await Generator.create({ device, model, weights, adapter: { scale: 0.5, tensors } });
    for (const factors of [tensors, draw(lora, 30_000_000)]) {
      const merged = await Generator.create({
        device,
        model,
        weights: await device.uploadAll(mergeLora(host, factors, 0.5)),
      });
      const options = { maxNewTokens: 10 };
      const answers = await adapted.generate(prompts, { ...options, lora: factors });
      expect(answers).toEqual(await merged.generate(prompts, options));
      expect(answers).not.toEqual(await generator.generate(prompts, options));
    }
  });

  test("a generator made for LoRA asks for it", async () => {
    const adapted = await Generator.create({ device, model, weights, adapter: { scale: 0.5, tensors } });
    await expect(adapted.generate(prompts, { maxNewTokens: 1 })).rejects.toThrow(/lora_A.weight/);
  });
});

describe("sampling", () => {
  const sampling = { temperature: 1.5, topP: 0.9, seed: 11 };

  test("same seed, same answers, whatever the batch; another seed, other answers", async () => {
    const options = { maxNewTokens: 12, sampling };
    const first = await generator.generate(prompts, options);
    expect(await generator.generate(prompts, { ...options, batchSize: 4 })).toEqual(first);
    expect(await generator.generate(prompts, { ...options, sampling: { ...sampling, seed: 12 } })).not.toEqual(first);
  });

  test("equal prompts get different draws", async () => {
    const twice = [prompts[5] as number[], prompts[5] as number[]];
    const [a, b] = await generator.generate(twice, { maxNewTokens: 12, sampling });
    expect(a).not.toEqual(b);
  });

  test("only the likeliest token: greedy", async () => {
    const greedy = await generator.generate(prompts, { maxNewTokens: 8 });
    expect(await generator.generate(prompts, { maxNewTokens: 8, sampling: { ...sampling, topK: 1 } })).toEqual(greedy);
  });
});

describe("limits and bad input", () => {
  test("an answer ends where the model's positions end", async () => {
    const long = Array.from({ length: model.maxPositions - 3 }, (_, i) => i % model.vocabSize);
    const [answer] = await generator.generate([long], { maxNewTokens: 50 });
    expect(answer).toMatchObject({ finish: "length", ids: { length: 3 } });
  });

  test.each([
    ["PROMPT_TOO_LONG", [[1], new Array<number>(model.maxPositions).fill(1)], 4],
    ["PROMPT_EMPTY", [[1], []], 4],
    ["TOKEN_UNKNOWN", [[1], [1, model.vocabSize]], 4],
    ["GENERATE_OPTION_INVALID", [[1]], 0],
  ])("%s", async (code, bad, maxNewTokens) => {
    await expect(generator.generate(bad, { maxNewTokens })).rejects.toMatchObject({ code });
  });

  test("a batch holds at least one prompt", async () => {
    const answers = generator.generate([[1]], { maxNewTokens: 1, batchSize: 0 });
    await expect(answers).rejects.toMatchObject({ code: "GENERATE_OPTION_INVALID", details: { where: "batchSize" } });
  });

  test("diverged weights are an error, not an answer", async () => {
    const broken = new Map(host);
    const name = "model.layers.0.mlp.up_proj.weight";
    const { shape } = host.get(name) as HostTensor<"float32">;
    broken.set(name, tensor("float32", shape, new Float32Array(sizeOf(shape)).fill(NaN)));
    const diverged = await Generator.create({ device, model, weights: await device.uploadAll(broken) });
    await expect(diverged.generate([[1]], { maxNewTokens: 2 })).rejects.toMatchObject({ code: "NON_FINITE_LOGITS" });
  });
});

test("a stop is obeyed at the next token, not at the end of an answer", async () => {
  const stop = new AbortController();
  let answered = 0;
  const generating = generator.generate([[1, 2], [3]], {
    maxNewTokens: 100,
    signal: stop.signal,
    onProgress: () => answered++,
  });
  setTimeout(() => stop.abort(), 1);
  await expect(generating).rejects.toMatchObject({ code: "STOPPED" });
  expect(answered).toBe(0);
});
