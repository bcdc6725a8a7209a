/** What is done between two steps of rows that are being written, and who is read first: counted, not timed. */
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { TINY_LLAMA } from "../../test/tiny-llama.ts";
import { createModel } from "../models/index.ts";
import { Device } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { sizeOf, tensor } from "../tensor/tensor.ts";
import { KvCache } from "./cache.ts";
import { Generator } from "./generator.ts";
import { Reader } from "./reader.ts";
import type { Submission } from "./row.ts";

const model = createModel({ ...TINY_LLAMA, max_position_embeddings: 512 });
const random = new RandomStream(5, "turns");
let at = 0;
const promptOf = (length: number) => Array.from({ length }, () => random.integer(at++, model.vocabSize));
const LIMITS = { rows: 8, part: 64, share: 12 };

let generator: Generator;
beforeAll(async () => {
  const device = new Device({ threads: 1 });
  const host = [...model.weights].map(([name, shape]) => {
    const values = Array.from({ length: sizeOf(shape) }, () => 0.3 * random.normal(at++));
    return [name, tensor("float32", shape, values)] as const;
  });
  generator = await Generator.create({ device, model, weights: await device.uploadAll(host) });
});
afterEach(() => vi.restoreAllMocks());

async function collected(submission: Submission): Promise<number[]> {
  const ids: number[] = [];
  for await (const event of submission) if ("token" in event) ids.push(event.token);
  return ids;
}

/** Lengths of the prompts that were read in each call, whole or in part, and `step` for each step of the rows that are being written. */
function watched(): (readonly number[] | "step")[] {
  const done: (readonly number[] | "step")[] = [];
  const { turn } = Reader.prototype;
  vi.spyOn(Reader.prototype, "turn").mockImplementation(function (this: Reader, next) {
    done.push(next.rows.map(({ part, ids }) => (part === undefined ? ids.length : next.tokens)));
    return turn.call(this, next);
  });
  const { append } = KvCache.prototype;
  vi.spyOn(KvCache.prototype, "append").mockImplementation(function (this: KvCache, fresh) {
    done.push("step");
    append.call(this, fresh);
  });
  return done;
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

/** Tokens that were read of each prompt before each step. */
function readBetween(done: ReturnType<typeof watched>): number[][] {
  const turns: number[][] = [[]];
  for (const one of done) {
    if (one === "step") turns.push([]);
    else turns.at(-1)?.push(...one);
  }
  return turns;
}

test("while rows are written, a share of one long prompt and some short ones are read between two steps, and answers are those of each prompt alone", async () => {
  const lengths = [5, 200, 7, 3, 90, 12, 13, 30, 1, 11, 12, 10, 9, 12, 8];
  const prompts = lengths.map(promptOf);
  const alone = await Promise.all(
    prompts.map(async (prompt) => (await generator.generate([prompt], { maxNewTokens: 20 }))[0]?.ids),
  );
  const engine = await generator.open(undefined, LIMITS);
  const done = watched();
  const writing = engine.submit(promptOf(4), { maxNewTokens: 100 });
  await writing.next();
  expect(done.filter((one) => one !== "step")).toEqual([[4]]);
  const answers = await Promise.all(prompts.map((prompt) => collected(engine.submit(prompt, { maxNewTokens: 20 }))));
  await collected(writing);
  expect(answers).toEqual(alone);
  const [, ...between] = readBetween(done);
  for (const read of between) {
    expect(sum(read)).toBeLessThanOrEqual(LIMITS.part);
    expect(Math.max(0, ...read)).toBeLessThanOrEqual(LIMITS.share);
  }
  expect(sum(between.flat())).toBe(sum(lengths));
  // Calls of the four long ones are as many as their shares.
  const shares = lengths.filter((length) => length > LIMITS.share).map((length) => Math.ceil(length / LIMITS.share));
  expect(between.flat().length).toBe(sum(shares) + lengths.filter((length) => length <= LIMITS.share).length);
  // Short ones are read beside a share, not after it.
  expect(Math.max(...between.map(sum))).toBeGreaterThan(LIMITS.share);
});

test("where nobody waits for a next token, prompts are read in large parts", async () => {
  const engine = await generator.open(undefined, LIMITS);
  const done = watched();
  await collected(engine.submit(promptOf(150), { maxNewTokens: 2 }));
  expect(done).toEqual([[64], [64], [22], "step"]);
});

test("short prompts pass a long one, whether somebody writes or not, and it gets every other turn whoever comes", async () => {
  for (const isWriting of [true, false]) {
    const engine = await generator.open(undefined, LIMITS);
    const writing = engine.submit(promptOf(4), { maxNewTokens: 400 });
    if (isWriting) await writing.next();
    else writing.cancel();
    const order: string[] = [];
    const done = watched();
    const firstOf = async (name: string, length: number) => {
      await collected(engine.submit(promptOf(length), { maxNewTokens: 1 }));
      order.push(name);
    };
    const long = firstOf("long", 240);
    const longer = firstOf("longer", 250);
    let isOver = false;
    const endless = (async () => {
      while (!isOver) await firstOf("short", 8);
    })();
    await Promise.all([long, longer]);
    // Where somebody writes a turn ends with a step, else it is a call.
    const turns = done.filter((one) => (one === "step") === isWriting).length;
    isOver = true;
    writing.cancel();
    await endless;
    expect(order.slice(0, 2)).toEqual(["short", "short"]);
    expect(order.filter((name) => name !== "short")).toEqual(["long", "longer"]);
    const size = isWriting ? LIMITS.share : LIMITS.part;
    const own = sum([240, 250].map((length) => Math.ceil(length / size)));
    expect(turns).toBeGreaterThan(own);
    expect(turns).toBeLessThanOrEqual(2 * own + 2);
    vi.restoreAllMocks();
  }
});
