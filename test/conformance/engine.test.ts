/** What the engine promises of every family: a row is by itself, whoever comes and leaves, and whatever is read in parts or shared. */
import { beforeAll, describe, expect, test } from "vitest";
import { ops } from "../../src/autodiff/index.ts";
import { type Engine, type EngineLimits, Generator, type RowEvent, type Submission } from "../../src/generate/index.ts";
import { createModel, hiddenStates, packRows, rowsOf, rowTypes, weightsOf } from "../../src/models/index.ts";
import { Device, type DeviceTensors, type Program, typesOf } from "../../src/runtime/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { FAMILIES, VARIANTS } from "./tiny-families.ts";
import { randomTensors } from "./tiny-model.ts";

const device = new Device({ threads: 1 });
const SHARED = [7, 3, 3, 1, 8, 2];

async function eventsOf(submission: Submission): Promise<RowEvent[]> {
  const events: RowEvent[] = [];
  for await (const event of submission) events.push(event);
  return events;
}
const tokensOf = (events: readonly RowEvent[]) => events.flatMap((event) => ("token" in event ? [event.token] : []));
const collected = async (submission: Submission) => tokensOf(await eventsOf(submission));

describe.each([...FAMILIES, ...VARIANTS])("$name", ({ config }) => {
  const model = createModel(config);
  const most = Math.min(model.maxPositions, 40);
  const random = new RandomStream(17, "engine");
  let at = 0;
  const below = (n: number) => random.integer(at++, n);
  let weights: DeviceTensors;
  let generator: Generator;
  let whole: Program;

  beforeAll(async () => {
    weights = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32")));
    generator = await Generator.create({ device, model, weights });
    whole = await device.compile({ base: typesOf(weights), rows: rowTypes("b") }, (given) => {
      const all = weightsOf(model, given.base);
      return { next: ops.argmax(all.logits(hiddenStates(model, all, rowsOf(given.rows)))) };
    });
  });

  /** Without a cache: the whole sequence anew for each token. */
  async function recomputed(prompt: readonly number[], count: number): Promise<number[]> {
    const ids = [...prompt];
    while (ids.length < Math.min(prompt.length + count, model.maxPositions)) {
      const { next } = await whole.run({ base: weights, rows: packRows([{ ids, asked: [0] }]) });
      ids.push(Number(next?.data.at(-1)));
    }
    return ids.slice(prompt.length);
  }

  test("rows that come and leave at random, are read in parts or share a beginning, are answered as each by itself", async () => {
    const rows = Array.from({ length: 9 }, (_, i) => {
      const own = Array.from({ length: 1 + below(i % 3 === 0 ? 14 : 5) }, () => below(model.vocabSize));
      return {
        prompt: i % 4 === 3 ? own : [...SHARED, ...own],
        maxNewTokens: 1 + below(most - 25),
        cancelled: i === 4,
      };
    });
    const limits: EngineLimits = { rows: 3, part: 8 };
    const engine = await generator.open(undefined, limits);
    await engine.share(SHARED);
    const answers = await Promise.all(
      rows.map(async ({ prompt, maxNewTokens, cancelled }) => {
        for (let wait = below(12); wait > 0; wait--) await new Promise((resolve) => setImmediate(resolve));
        const submission = engine.submit(prompt, { maxNewTokens });
        if (!cancelled) return collected(submission);
        await submission.next();
        submission.cancel();
        return undefined;
      }),
    );
    for (const [i, { prompt, maxNewTokens, cancelled }] of rows.entries()) {
      if (!cancelled) expect(answers[i]).toEqual(await recomputed(prompt, maxNewTokens));
    }
  });
});

describe("a row that computes no numbers", () => {
  const { config } = FAMILIES[0] as (typeof FAMILIES)[number];
  const model = createModel(config);
  const host = randomTensors(model.weights, "float32");
  const POISON = 5;

  async function open(limits: EngineLimits, poisoned = [POISON]): Promise<Engine> {
    const embedding = host[model.embedding] as HostTensor<"float32">;
    const data = embedding.data.slice();
    for (const id of poisoned) data.fill(Number.NaN, id * model.hiddenSize, (id + 1) * model.hiddenSize);
    // The head is another matrix, or all logits would be no numbers.
    const weights = await device.uploadAll(
      Object.entries({ ...host, [model.embedding]: { ...embedding, data } as HostTensor<"float32"> }),
    );
    expect(model.head).not.toBe(model.embedding);
    return (await Generator.create({ device, model, weights })).open(undefined, limits);
  }

  test("fails alone: the others get the same tokens, also those that take its place", async () => {
    const good = [
      [1, 2, 3],
      [4, 6],
      [7, 8, 9, 1],
    ];
    const request = { maxNewTokens: 8, logprobs: 2 };
    const answersOf = async (engine: Engine, bad: readonly number[]) => {
      const events = good.slice(0, 2).map((prompt) => engine.submit(prompt, request));
      const failing = engine.submit(bad, request);
      const later = engine.submit(good[2] as number[], request);
      const failure = collected(failing).then(
        () => "answered",
        (error: { code: string }) => error.code,
      );
      const answers = await Promise.all([...events, later].map((one) => eventsOf(one)));
      return { answers, failure: await failure };
    };
    const engine = await open({ rows: 3 });
    const poisoned = await answersOf(engine, [2, POISON, 3]);
    const healthy = await answersOf(engine, [2, 1, 3]);
    expect(poisoned.failure).toBe("NON_FINITE_LOGITS");
    expect(healthy.failure).toBe("answered");
    expect(poisoned.answers.map(tokensOf)).toEqual(healthy.answers.map(tokensOf));
    expect(poisoned.answers.flat().every((event) => !("token" in event) || Number.isFinite(event.logprob))).toBe(true);
  });

  test("a beginning that is no number fails those alone that rest on it", async () => {
    const engine = await open({ rows: 4 });
    await engine.share([1, POISON]);
    const [bad, good] = [
      engine.submit([1, POISON, 2], { maxNewTokens: 3 }),
      engine.submit([1, 2], { maxNewTokens: 3 }),
    ];
    await expect(collected(bad)).rejects.toMatchObject({ code: "NON_FINITE_LOGITS" });
    expect(await collected(good)).toHaveLength(3);
  });

  test("a cancelled row gives its place to the next one", async () => {
    const engine = await open({ rows: 1 });
    const endless = engine.submit([1, 2], { maxNewTokens: 10_000 });
    const next = engine.submit([3, 4], { maxNewTokens: 2 });
    const first = collected(next);
    await endless.next();
    endless.cancel();
    expect(await first).toHaveLength(2);
    expect(await endless.next()).toMatchObject({ done: true });
  });

  test("a row is let in when there is memory for all that it may become, and one always is", async () => {
    const engine = await open({ rows: 8, cacheBytes: 1 });
    const order: number[] = [];
    await Promise.all(
      [[1], [2], [3]].map(async (prompt, i) => {
        await collected(engine.submit(prompt, { maxNewTokens: 4 - i }));
        order.push(i);
      }),
    );
    expect(order).toEqual([0, 1, 2]);
  });

  test("log-probabilities are those of all logits, and stop tokens, ends and samplings are each row's own", async () => {
    const engine = await open({ rows: 4 }, []);
    const plain = await collected(engine.submit([1, 2, 3], { maxNewTokens: 6 }));
    const stopped = collected(engine.submit([1, 2, 3], { maxNewTokens: 6, stopIds: [plain[3] as number] }));
    let seen = 0;
    const ended = collected(engine.submit([1, 2, 3], { maxNewTokens: 6, ends: () => ++seen === 2 }));
    const drawn = collected(
      engine.submit([1, 2, 3], { maxNewTokens: 6, sampling: { temperature: 5, seed: 1 }, choice: 1 }),
    );
    const told = await eventsOf(engine.submit([1, 2, 3], { maxNewTokens: 6, logprobs: 3 }));
    expect(await stopped).toEqual(plain.slice(0, plain.indexOf(plain[3] as number)));
    expect(await ended).toEqual(plain.slice(0, 2));
    expect(await drawn).not.toEqual(plain);
    expect(told.at(-1)).toEqual({ finish: "length" });
    for (const [i, event] of told.slice(0, -1).entries()) {
      if (!("token" in event)) throw new Error("a token");
      expect(event.token).toBe(plain[i]);
      expect(event.top?.[0]).toEqual({ token: event.token, logprob: event.logprob });
      expect(event.top?.map(({ logprob }) => logprob)).toEqual(
        event.top?.map(({ logprob }) => logprob).sort((a, b) => b - a),
      );
    }
  });
});
