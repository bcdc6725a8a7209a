import { expect, test } from "vitest";
import { LIMITS } from "../../domain/limits.ts";
import type { Answered, Caller, ServingEngine } from "../../engine/types.ts";
import { Rates } from "../rates.ts";
import type { Route } from "../route.ts";
import type { Service } from "../service.ts";
import { chatRoutes } from "./chat.ts";
import { completionRoutes } from "./completions.ts";
import { responseRoutes } from "./responses.ts";
import type { Serving } from "./served.ts";
import { tokenizerRoutes } from "./tokenizer.ts";

/** An engine that computes ten tokens of which nobody has read one, and holds what was asked until it is given back. */
function startFake() {
  const told = { held: 0, asked: 0, usage: [] as Record<string, number>[] };
  async function* answer(_: unknown, { onTokens }: Caller): AsyncGenerator<Answered> {
    told.held++;
    told.asked++;
    try {
      yield { kind: "begun", promptTokens: [3] };
      onTokens?.(10);
      for (;;) yield { kind: "text", index: 0, text: "a", tokens: [], completionTokens: 10 };
    } finally {
      told.held--;
    }
  }
  const engine = { base: async () => ({ fingerprint: "fp" }), answer } as unknown as ServingEngine;
  const service = {
    rates: new Rates(() => 0),
    log: { error: (_: unknown, what: string) => expect(what).toBe("") },
    store: {
      bases: { get: async (name: string) => ({ name, state: "active" }) },
      usage: { add: async (_: unknown, __: string, amounts: Record<string, number>) => told.usage.push(amounts) },
    },
  } as unknown as Service;
  return { told, serving: { service, engine } satisfies Serving };
}

const messages = [{ role: "user", content: "a" }];
const WAYS: readonly [string, (serving: Serving) => Route[], object, readonly number[]][] = [
  ["chat", chatRoutes, { messages, n: 1 }, [0, 1, 2]],
  ["chat of several answers", chatRoutes, { messages, n: 8 }, [0, 2, 8, 9]],
  ["completions", completionRoutes, { prompt: "a" }, [0, 1]],
  ["responses", responseRoutes, { input: "a" }, [0, 2, 4, 5]],
];

test.each(WAYS)(
  "a client of %s that leaves gives back what it held, whenever it leaves, and pays what was computed",
  async (_, routesOf, body, reads) => {
    const { told, serving } = startFake();
    const [{ body: schema, handle }] = routesOf(serving) as [Route];
    for (const read of reads) {
      const leaving = new AbortController();
      const answer = await handle({
        body: schema!.parse({ model: "base", stream: true, ...body }),
        principal: { key: "key", kind: "project", project: "project", scopes: [], owner: "someone" },
        gone: leaving.signal,
        c: { get: () => ({}), set: () => undefined },
        incoming: {},
      } as unknown as Parameters<Route["handle"]>[0]);
      const reader = (answer as Response).body!.getReader();
      for (let i = 0; i < read; i++) await reader.read();
      leaving.abort();
      await reader.cancel();
      await expect.poll(() => told.usage.length).toBe(told.asked);
      expect(told.held).toBe(0);
      const { completion_tokens: paid } = told.usage.at(-1)!;
      const isBegun = read === reads.at(-1);
      if (isBegun) expect(paid).toBe(10);
    }
    const { limit, remaining } = serving.service.rates.tokens.budget("key");
    const sum = (name: string) => told.usage.reduce((total, amounts) => total + amounts[name]!, 0);
    expect(limit - remaining).toBe(sum("prompt_tokens") + sum("completion_tokens"));
  },
);

test("a long text is paid for before it is read, and a key that has used up its minute has nothing read", async () => {
  const { told, serving } = startFake();
  const read: string[] = [];
  const engine = {
    ...serving.engine,
    base: async () => ({ contextLength: 64, vocabularySize: 9 }),
    tokenize: async (_: string, text: string) => {
      read.push(text);
      return [1];
    },
  } as unknown as ServingEngine;
  const routes = [...tokenizerRoutes({ ...serving, engine }), ...completionRoutes({ ...serving, engine })];
  const ask = (path: string, body: object) => {
    const { body: schema, handle } = routes.find((one) => one.path === path)!;
    const call = {
      body: schema!.parse({ model: "base", ...body }),
      principal: { key: "key", kind: "project", project: "project", scopes: [], owner: "someone" },
      gone: new AbortController().signal,
    };
    return handle(call as unknown as Parameters<Route["handle"]>[0]);
  };
  const long = "a ".repeat(1_000_000);
  expect(await ask("/tokenize", { prompt: "a b" })).toMatchObject({ count: 1 });
  const { limit, remaining } = serving.service.rates.tokens.budget("key");
  expect(limit - remaining).toBe(1);
  const page = "a ".repeat(LIMITS.tokenizeLength / 2);
  for (let i = 0; i < 3; i++) await ask("/tokenize", { prompt: page });
  await expect(ask("/tokenize", { prompt: page })).rejects.toMatchObject({ code: "token_limit_exceeded" });
  await expect(ask("/v1/completions", { prompt: long })).rejects.toMatchObject({ code: "token_limit_exceeded" });
  await expect(ask("/v1/completions", { prompt: ["a", long] })).rejects.toMatchObject({ code: "token_limit_exceeded" });
  expect([read, told.asked]).toEqual([["a b", page, page, page], 0]);
});
