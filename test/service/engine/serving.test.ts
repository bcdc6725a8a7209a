/** An engine's process as the server uses it: many adapters, requests that leave, processes that die. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServing } from "../../../src/service/engine/serving.ts";
import type { ServedModel, ServingEngine } from "../../../src/service/engine/types.ts";
import { compileProgram } from "../../crash/compile.ts";
import { askOf, collect, PROMPTS, randomAdapters, WORLD } from "./world.ts";

const program = compileProgram("src/service/engine/child.ts");
const made = randomAdapters(8);
const broken: string[] = [];
const crashes: string[] = [];
const elsewhere: string[] = [];
let engine: ServingEngine;

beforeAll(async () => {
  engine = startServing({
    folderOf: async (name) => ({ world: WORLD, nowhere: "/nowhere" })[name],
    version: "test",
    module: program.path,
    threads: 1,
    slots: 3,
    withdrawnOf: async (models) => models.filter((model) => elsewhere.includes(model)),
    onBroken: (model) => broken.push(model),
    onCrash: (base, how) => crashes.push(`${base}: ${how}`),
  });
  await engine.base("world");
});
afterAll(async () => {
  await engine.close();
  made.remove();
});

const caller = { project: "p" };
const modelOf = (i: number): ServedModel => (i < 0 ? { base: "world" } : { base: "world", adapter: made.adapters[i]! });

describe("answers", () => {
  test("eight adapters of different ranks in three slots, 32 requests at once: each as alone, one of them with overflow", async () => {
    const asks = Array.from({ length: 32 }, (_, i) =>
      askOf({
        model: modelOf((i % 9) - 1),
        prompts: [{ text: PROMPTS[i % PROMPTS.length]! }],
        maxNewTokens: 6 + (i % 7),
        ...(i % 3 === 0 ? { temperature: 0.8, topP: 0.9, seed: i } : {}),
      }),
    );
    const overflowing = { base: "world", adapter: made.overflowing };
    const bad = Promise.allSettled([collect(engine.answer(askOf({ model: overflowing, maxNewTokens: 4 }), caller))]);
    const together = await Promise.all(asks.map((ask, i) => collect(engine.answer(ask, { project: `p${i % 4}` }))));
    expect(await bad).toMatchObject([{ reason: { code: "internal_error" } }]);
    expect(broken).toEqual([made.overflowing.key]);
    for (const [i, ask] of asks.entries()) expect(together[i]).toEqual(await collect(engine.answer(ask, caller)));
    expect(new Set(together.map(({ texts }) => texts[0])).size).toBeGreaterThan(15);
  });

  test("choices of one seed differ, and come again; prompts have theirs in order", async () => {
    const ask = askOf({
      prompts: PROMPTS.slice(0, 2).map((text) => ({ text })),
      n: 3,
      temperature: 1.5,
      seed: 4,
      maxNewTokens: 8,
    });
    const [first, again] = [await collect(engine.answer(ask, caller)), await collect(engine.answer(ask, caller))];
    expect(first).toEqual(again);
    expect(first.texts).toHaveLength(6);
    expect(new Set(first.texts).size).toBeGreaterThan(3);
    expect(first.usage).toHaveLength(2);
  });

  test("a stop is never told, wherever tokens cut it, and the tokens that are told end before it", async () => {
    const plain = await collect(engine.answer(askOf({ maxNewTokens: 20, logprobs: 0 }), caller));
    const text = plain.texts[0]!;
    for (let at = 1; at + 3 < text.length; at += 4) {
      const stop = text.slice(at, at + 3);
      const found = text.indexOf(stop);
      const { texts, finishes, tokens } = await collect(
        engine.answer(askOf({ maxNewTokens: 20, logprobs: 0, stop: [stop] }), caller),
      );
      expect(texts[0] ?? "").toBe(text.slice(0, found));
      expect(finishes).toEqual(["stop"]);
      expect(tokens).toEqual(plain.tokens.slice(0, tokens.length));
      expect((await engine.detokenize("world", tokens)).length).toBeGreaterThanOrEqual(found);
    }
  });

  test("a prompt and an answer longer than the context are refused with both numbers", async () => {
    const { contextLength } = await engine.base("world");
    const ids = Array.from({ length: 60 }, () => 9);
    const whole = await collect(engine.answer(askOf({ prompts: [{ ids }] }), caller));
    expect(whole.completion).toBeLessThanOrEqual(contextLength - 60);
    await expect(collect(engine.answer(askOf({ prompts: [{ ids }], maxNewTokens: 5 }), caller))).rejects.toMatchObject({
      code: "context_length_exceeded",
      details: { expected: "at most 64 tokens", found: "65 tokens, 60 of the prompt and 5 of the answer" },
    });
  });

  test("text to ids and back", async () => {
    const ids = await engine.tokenize("world", PROMPTS[0]!, false);
    expect(await engine.detokenize("world", ids)).toBe(PROMPTS[0]);
  });
});

describe("leaving", () => {
  test("a request whose reader leaves, or whose signal is aborted, gives its rows back", async () => {
    const gone = new AbortController();
    for await (const event of engine.answer(askOf({ n: 8, temperature: 1 }), caller)) if (event.kind === "text") break;
    const aborted = collect(engine.answer(askOf({ n: 8, temperature: 1 }), { ...caller, signal: gone.signal }));
    gone.abort();
    await aborted;
    await expect.poll(() => engine.status().world?.rows).toBe(0);
  });

  test("a model that is withdrawn ends with content_filter and is not answered any more, and the base goes on", async () => {
    const adapter = { ...made.adapters[1]!, key: "ft:world::here" };
    const ask = askOf({ model: { base: "world", adapter }, prompts: [{ ids: [9] }], n: 8, temperature: 3 });
    const finishes: string[] = [];
    for await (const event of engine.answer(ask, caller)) {
      if (event.kind === "text") engine.withdraw(adapter.key);
      if (event.kind === "finished") finishes.push(event.finish);
    }
    expect(finishes).toHaveLength(8);
    expect(finishes).toContain("content_filter");
    await expect(collect(engine.answer(ask, caller))).rejects.toMatchObject({ code: "model_withdrawn" });
    expect((await collect(engine.answer(askOf({ maxNewTokens: 2 }), caller))).finishes).toEqual(["length"]);
  });

  test("a model that another server withdraws is not answered any more after a look", async () => {
    const adapter = { ...made.adapters[2]!, key: "ft:world::elsewhere" };
    const ask = askOf({ model: { base: "world", adapter }, n: 8, temperature: 3 });
    await collect(engine.answer(ask, caller));
    elsewhere.push(adapter.key);
    const whole = async () => {
      for (;;) await collect(engine.answer(ask, caller));
    };
    await expect(whole()).rejects.toMatchObject({ code: "model_withdrawn" });
  });
});

test("what a process was doing when it died is told so, and it starts again; a base that is none is said to be none", async () => {
  await expect(engine.base("nowhere")).rejects.toMatchObject({ code: "internal_error" });
  await expect(engine.base("other")).rejects.toMatchObject({ code: "model_not_found" });
  expect(engine.status().nowhere?.state).toBe("failed");
  const events = engine.answer(askOf({ n: 8, temperature: 1 }), caller)[Symbol.asyncIterator]();
  await events.next();
  process.kill(engine.status().world?.pid as number, "SIGKILL");
  await expect(
    (async () => {
      while (!(await events.next()).done);
    })(),
  ).rejects.toMatchObject({ code: "engine_restarted", details: { retryAfter: 1 } });
  expect(crashes).toContainEqual("world: SIGKILL");
  expect((await collect(engine.answer(askOf({ maxNewTokens: 3 }), caller))).finishes).toEqual(["length"]);
  expect(engine.status().world).toMatchObject({ state: "ready", restarts: 1 });
});

describe("several bases", () => {
  const NAMES = ["a", "b", "c"];
  const one = 300 * 2 ** 20;
  let bases: ServingEngine;
  beforeAll(() => {
    bases = startServing({
      folderOf: async (name) => (NAMES.includes(name) ? WORLD : undefined),
      version: "test",
      module: program.path,
      threads: 1,
      memory: 2 * one,
    });
  });
  afterAll(() => bases.close());
  const of = (base: string, more: object = {}) => askOf({ model: { base }, maxNewTokens: 12, ...more });

  test("three in the memory of two: all are answered as alone, never three are there, the least recently used one goes", async () => {
    const alone = await collect(engine.answer(of("world"), caller));
    let most = 0;
    const watching = setInterval(() => {
      most = Math.max(
        most,
        Object.values(bases.status()).reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }, 5);
    const asked = [...NAMES, ...NAMES, ...NAMES].map((name) => collect(bases.answer(of(name), caller)));
    for (const answer of await Promise.all(asked)) expect(answer).toEqual(alone);
    clearInterval(watching);
    expect(most).toBeGreaterThan(one);
    expect(most).toBeLessThanOrEqual(2 * one);
    const [kept] = NAMES.filter((name) => name !== "c" && name in bases.status());
    const gone = NAMES.find((name) => !(name in bases.status()))!;
    await collect(bases.answer(of(kept!), caller));
    await collect(bases.answer(of(gone), caller));
    expect(Object.keys(bases.status()).sort()).toEqual([kept, gone].sort());
  });

  test("one that is let go writes its answers to their end, and is loaded again when it is asked", async () => {
    const [base] = Object.keys(bases.status()) as [string];
    const ask = of(base, { maxNewTokens: 30, n: 8, temperature: 1, seed: 1 });
    const whole = await collect(bases.answer(ask, caller));
    const { pid } = bases.status()[base]!;
    const cut = bases.answer(ask, caller);
    const first = await cut[Symbol.asyncIterator]().next();
    bases.leave(base);
    expect(bases.status()[base]?.state).toBe("leaving");
    const rest = collect(cut);
    expect(first.value?.kind).toBe("begun");
    expect((await rest).texts).toEqual(whole.texts);
    await expect.poll(() => bases.status()[base]).toBeUndefined();
    expect(await collect(bases.answer(ask, caller))).toEqual(whole);
    expect(bases.status()[base]?.pid).not.toBe(pid);
  });

  test("what is no base is not remembered", async () => {
    await expect(bases.base("d")).rejects.toMatchObject({ code: "model_not_found" });
    expect(bases.status()).not.toHaveProperty("d");
  });
});
