import { beforeAll, describe, expect, test } from "vitest";
import { createModel, hiddenStates, packRows, rowsOf, rowTypes, weightsOf } from "../models/index.ts";
import { Device, type DeviceTensors, type Program, typesOf } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { sizeOf, tensor } from "../tensor/tensor.ts";
import { Generator } from "./generator.ts";
import type { Request, RowEvent } from "./row.ts";
import { adjusted } from "./sampling.ts";

const model = createModel({
  model_type: "qwen2",
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 50,
  max_position_embeddings: 256,
  tie_word_embeddings: true,
});
const device = new Device({ threads: 1 });
const random = new RandomStream(9, "echo");
let at = 0;
let weights: DeviceTensors;
let generator: Generator;
let whole: Program;
beforeAll(async () => {
  const host = [...model.weights].map(([name, shape]) => {
    const values = Array.from({ length: sizeOf(shape) }, () => 0.4 * random.normal(at++));
    return [name, tensor("float32", shape, values)] as const;
  });
  weights = await device.uploadAll(host);
  generator = await Generator.create({ device, model, weights });
  whole = await device.compile({ base: typesOf(weights), rows: rowTypes("b") }, (given) => {
    const all = weightsOf(model, given.base);
    return { logits: all.logits(hiddenStates(model, all, rowsOf(given.rows))) };
  });
});

/** Log-softmax of every position in float64. */
async function expectedOf(ids: readonly number[]): Promise<number[][]> {
  const { logits } = await whole.run({ base: weights, rows: packRows([{ ids, asked: [] }]) });
  const data = logits?.data as Float32Array;
  return ids.map((_, position) => {
    const row = Array.from(data.subarray(position * 50, (position + 1) * 50));
    const largest = Math.max(...row);
    const total = row.reduce((sum, x) => sum + Math.exp(x - largest), 0);
    return row.map((x) => x - largest - Math.log(total));
  });
}

async function eventsOf(ids: readonly number[], request: Request, part = 512): Promise<RowEvent[]> {
  const engine = await generator.open(undefined, { part });
  const events: RowEvent[] = [];
  for await (const event of engine.submit(ids, request)) events.push(event);
  return events;
}
const promptOf = (length: number) => Array.from({ length }, () => random.integer(at++, model.vocabSize));

describe("echo", () => {
  test.each([
    [1, 512],
    [9, 512],
    [150, 512],
    [150, 8],
  ])("a prompt of %i tokens, read in parts of %i: log-probabilities of a softmax in float64", async (length, part) => {
    const ids = promptOf(length);
    const expected = await expectedOf(ids);
    const events = await eventsOf(ids, { maxNewTokens: 1, echo: 3, logprobs: 3 }, part);
    const echoed = events.flatMap((event) => ("echoed" in event ? [event.echoed] : []));
    const tokens = events.flatMap((event) => ("token" in event ? [event] : []));
    expect(echoed.map(({ token }) => token)).toEqual(ids.slice(1));
    for (const [i, { token, logprob, top }] of [...echoed, ...tokens].entries()) {
      const row = expected[i] as number[];
      expect(logprob).toBeCloseTo(row[token] as number, 4);
      const best = row.map((value, id) => ({ value, id })).sort((a, b) => b.value - a.value);
      expect(top?.map(({ token }) => token)).toEqual(best.slice(0, 3).map(({ id }) => id));
      for (const one of top ?? []) if (one.token === token) expect(one.logprob).toBe(logprob);
    }
    expect(tokens).toHaveLength(1);
    expect(events.at(-1)).toEqual({ finish: "length" });
  });

  test("prompts of several rows are told together as each alone, among rows that only write", async () => {
    const engine = await generator.open(undefined, { part: 40 });
    const rows = [5, 30, 17, 60, 3].map((length, i) => ({
      ids: promptOf(length),
      request: i === 2 ? { maxNewTokens: 5, logprobs: 2 } : { maxNewTokens: i, echo: 2, logprobs: 2 },
    }));
    const together = await Promise.all(
      rows.map(async ({ ids, request }) => {
        const events: RowEvent[] = [];
        for await (const event of engine.submit(ids, request)) events.push(event);
        return events;
      }),
    );
    for (const [i, { ids, request }] of rows.entries()) {
      const alone = await eventsOf(ids, request);
      const idsOf = (events: readonly RowEvent[]) =>
        events.map((event) => ("echoed" in event ? event.echoed.token : "token" in event ? event.token : event.finish));
      expect(idsOf(together[i] as RowEvent[])).toEqual(idsOf(alone));
    }
    expect(together[0]?.at(-1)).toEqual({ finish: "length" });
    expect(together[0]).toHaveLength(5);
  });

  test("the token that ends an answer is told with the end", async () => {
    const ids = promptOf(6);
    const [first] = await eventsOf(ids, { maxNewTokens: 1, logprobs: 1 });
    const token = first !== undefined && "token" in first ? first.token : -1;
    const events = await eventsOf(ids, { maxNewTokens: 4, logprobs: 1, stopIds: [token] });
    expect(events).toEqual([{ finish: "stop", last: first }]);
  });
});

describe("what is added to logits", () => {
  test("presence once, frequency each time, bias by token; the logits stay", () => {
    const logits = Float32Array.of(1, 2, 3, 4);
    const counts = new Map([
      [1, 2],
      [3, 1],
    ]);
    const bias = new Map([[0, 5]]);
    expect(adjusted(logits, { presence: 0.5, frequency: 0.25, bias }, counts)).toEqual(Float32Array.of(6, 1, 3, 3.25));
    expect(logits).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  test("a penalty keeps an answer from repeating itself, a bias makes or forbids a token, and log-probabilities are the model's own", async () => {
    const ids = promptOf(8);
    const tokensOf = async (request: Omit<Request, "maxNewTokens">) =>
      (await eventsOf(ids, { maxNewTokens: 30, ...request })).flatMap((event) => ("token" in event ? [event] : []));
    const plain = await tokensOf({ logprobs: 1 });
    expect(new Set(plain.map(({ token }) => token)).size).toBeLessThan(30);
    const varied = await tokensOf({ adjust: { presence: 1000 } });
    expect(new Set(varied.map(({ token }) => token)).size).toBe(30);
    const first = plain[0]?.token as number;
    const forbidden = await tokensOf({ adjust: { bias: new Map([[first, -100]]) }, logprobs: 1 });
    expect(forbidden.every(({ token }) => token !== first)).toBe(true);
    expect(forbidden[0]?.top).toEqual(plain[0]?.top);
    expect((await tokensOf({ adjust: { bias: new Map([[7, 100]]) } })).every(({ token }) => token === 7)).toBe(true);
  });
});
