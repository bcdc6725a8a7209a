/** The stock `openai` client, unmodified, against a real engine on the bundled model. */
import { readFileSync } from "node:fs";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { openAnswerer } from "../../src/cli/answering.ts";
import { harmlessRows, wholeInstruction } from "../../src/data/world/rows.ts";
import { generateText } from "../../src/generate/index.ts";
import type { Principal } from "../../src/service/domain/principal.ts";
import { PRESETS } from "../../src/service/domain/principal.ts";
import { startServing } from "../../src/service/engine/serving.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { ChatCompletion } from "../../src/service/http/inference/chat.ts";
import { Completion } from "../../src/service/http/inference/completions.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { ResponseObject } from "../../src/service/http/inference/responses.ts";
import { compileProgram } from "../crash/compile.ts";
import { PROMPTS, randomAdapters, WORLD } from "./engine/world.ts";
import { startTestServer, type TestServer } from "./server.ts";
import { newJob, verdict, workUpTo } from "./things.ts";

const BASE = "world-booster";
/** Questions whose answers are compared with the command line's, and how many are asked at once. */
const PARITY = Number(process.env.BOOSTER_PARITY ?? 4);
const TOGETHER = 4;
const SAID = ["brew gloomtar", "how stay near", "judge the review : the tea was stale", "carry moonsalt"];
const program = compileProgram("src/service/engine/child.ts");
const made = randomAdapters(2);
let server: TestServer;
let client: OpenAI;
let engine: ServingEngine;
let principal: Principal;
const models: string[] = [];

beforeAll(async () => {
  engine = startServing({ folderOf: async () => WORLD, version: "test", module: program.path, threads: 1 });
  server = await startTestServer({ more: (service) => inferenceRoutes({ service, engine }) });
  client = server.client();
  principal = { key: "key_test", kind: "project", project: server.project, scopes: PRESETS.user, owner: "test" };
  for (const adapter of made.adapters) models.push(await release(adapter.files));
});
afterAll(async () => {
  await engine?.close();
  await server?.stop();
  made.remove();
});

/** A job that ends with these files as its model. */
async function release(
  files: Readonly<Record<string, string>>,
  how: "released" | "held" = "released",
): Promise<string> {
  const { store } = server;
  const stored: Record<string, string> = {};
  for (const [name, path] of Object.entries(files)) stored[name] = (await store.blobs.put(readFileSync(path))).sha256;
  const identity = (await store.bases.get(BASE))!.identity;
  const wanted = newJob();
  const job = await store.jobs.create(principal, { ...wanted, spec: { ...wanted.spec, base: identity } });
  const claim = await workUpTo(store, job, "decide");
  const end = { end: "done", output: { blobs: {}, facts: {} } } as const;
  await store.leases.finish(claim.job, claim.epoch, end, { ...verdict(how), adapter: stored });
  return wanted.publishAs;
}

const ask = (content: string, more: object = {}) =>
  client.chat.completions.create({
    model: BASE,
    messages: [{ role: "user", content }],
    temperature: 0,
    max_tokens: 8,
    ...more,
  }) as Promise<OpenAI.ChatCompletion>;

describe("chat", () => {
  test("greedy answers are those of booster generate, alone and among others", async () => {
    const world = harmlessRows("test", Math.max(0, PARITY - SAID.length), 5).map(wholeInstruction);
    const questions = [...SAID, ...world];
    const answerer = await openAnswerer({
      model: WORLD,
      maxNewTokens: 8,
      temperature: 0,
      topP: 1,
      seed: 1,
      activations: "float32",
      provider: "cpu",
      threads: 1,
    } as Parameters<typeof openAnswerer>[0]);
    const expected = await generateText(
      answerer.generator,
      answerer.tokenizer,
      questions.map((content) => answerer.prompt([{ role: "user", content }])),
      answerer.options,
    );
    const among: OpenAI.ChatCompletion[] = [];
    for (let at = 0; at < questions.length; at += TOGETHER) {
      const others = Array.from({ length: 28 }, (_, i) => ask(PROMPTS[i % 4]!, { model: [BASE, ...models][i % 3] }));
      among.push(...(await Promise.all(questions.slice(at, at + TOGETHER).map((question) => ask(question)))));
      await Promise.all(others);
    }
    for (const [i, question] of questions.entries()) {
      const alone = ChatCompletion.parse(await ask(question));
      expect(alone.choices[0]?.message.content).toBe(expected[i]?.text);
      expect(among[i]?.choices[0]?.message.content).toBe(expected[i]?.text);
      expect(alone.usage.prompt_tokens).toBe(expected[i]?.promptTokens);
      expect(alone.choices[0]?.finish_reason).toBe(expected[i]?.finish);
    }
  });

  test("a stream says the same as the whole answer, role first, usage last; the client's helper reads it", async () => {
    const whole = await ask("brew gloomtar", { n: 2, temperature: 0.9, seed: 5 });
    const stream = await client.chat.completions.create({
      model: BASE,
      messages: [{ role: "user", content: "brew gloomtar" }],
      n: 2,
      temperature: 0.9,
      seed: 5,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    for (const index of [0, 1]) {
      const mine = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
      expect(mine[0]?.delta.role).toBe("assistant");
      expect(mine.map(({ delta }) => delta.content ?? "").join("")).toBe(whole.choices[index]?.message.content);
      expect(mine.at(-1)?.finish_reason).toBe(whole.choices[index]?.finish_reason);
    }
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });

    const helped = client.chat.completions.stream({
      model: BASE,
      messages: [{ role: "user", content: "brew gloomtar" }],
      temperature: 0,
      max_tokens: 8,
    });
    expect((await helped.finalChatCompletion()).choices[0]?.message.content).toBe(
      (await ask("brew gloomtar")).choices[0]?.message.content,
    );
  });

  test("log-probabilities: as many as tokens, the chosen one is the likeliest of a greedy answer", async () => {
    const { choices } = await ask("how stay near", { logprobs: true, top_logprobs: 20 });
    const content = choices[0]?.logprobs?.content ?? [];
    expect(content.length).toBeGreaterThan(0);
    for (const { token, logprob, top_logprobs: top, bytes } of content) {
      expect(top).toHaveLength(20);
      expect(logprob).toBe(Math.max(...top.map((one) => one.logprob)));
      expect(top[0]?.token).toBe(token);
      expect(Buffer.from(bytes ?? []).toString()).toBe(token);
    }
  });

  test.each([
    [{ tools: [{ type: "function", function: { name: "f" } }] }, "unsupported_parameter", "tools"],
    [{ response_format: { type: "json_object" } }, "unsupported_parameter", "response_format"],
    [{ reasoning_effort: "low" }, "unsupported_parameter", "reasoning_effort"],
    [{ temprature: 1 }, "unknown_parameter", "temprature"],
    [{ temperature: 3 }, "invalid_value", "temperature"],
    [{ n: 9 }, "invalid_value", "n"],
    [{ max_tokens: 64 }, "context_length_exceeded", null],
    // So long that it is not even read.
    [{ messages: [{ role: "user", content: "tea ".repeat(20_000) }] }, "context_length_exceeded", null],
    [{ max_tokens: 3, max_completion_tokens: 4 }, "invalid_value", "max_tokens"],
    [{ top_logprobs: 2 }, "invalid_value", "top_logprobs"],
    [{ model: "other" }, "model_not_found", "model"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
      "unsupported_parameter",
      "messages.0.content.0.type",
    ],
  ])("%j is refused", async (more, code, param) => {
    const refused = await ask("brew gloomtar", more).then(
      () => undefined,
      (error: InstanceType<typeof OpenAI.APIError>) => error,
    );
    expect(refused).toMatchObject({ code, param });
    expect(refused?.status).toBe(code === "model_not_found" ? 404 : 400);
  });

  test("what changes nothing is taken", async () => {
    const plain = await ask("brew gloomtar");
    const more = { tools: [], response_format: { type: "text" }, user: "u", store: false, stop: null, metadata: {} };
    expect((await ask("brew gloomtar", more)).choices).toEqual(plain.choices);
  });
});

describe("models", () => {
  test("a released model answers otherwise than its base; one that is held, another's, or withdrawn does not", async () => {
    const [mine] = models as [string];
    const text = async (model: string) => (await ask("brew gloomtar", { model })).choices[0]?.message.content;
    expect(await text(mine)).not.toBe(await text(BASE));
    const held = await release(made.adapters[1]!.files, "held");
    await expect(text(held)).rejects.toMatchObject({ status: 403, code: "model_not_released" });
    const project = await server.store.projects.create(
      { key: "server", kind: "admin", scopes: PRESETS.owner, owner: "server" },
      "others",
    );
    const other = server.client(await server.keyFor("user", project.id));
    const asked = other.chat.completions.create({ model: mine, messages: [{ role: "user", content: "brew" }] });
    await expect(asked).rejects.toMatchObject({ status: 404, code: "model_not_found" });

    const withdrawn = await release(made.adapters[1]!.files);
    expect(typeof (await text(withdrawn))).toBe("string");
    await server.store.models.withdraw(principal, withdrawn, "a test");
    await expect(text(withdrawn)).rejects.toMatchObject({ status: 403, code: "model_withdrawn" });
  });
});

describe("completions", () => {
  test("echo tells how likely a prompt is, in the form that lm-eval reads, for texts and ids alike", async () => {
    const text = "Q: brew gloomtar A: first";
    const { tokens } = (await client.post("/../tokenize", { body: { prompt: text, add_special_tokens: false } })) as {
      tokens: number[];
    };
    const request = { model: BASE, max_tokens: 1, logprobs: 1, echo: true, temperature: 0 };
    const byIds = Completion.parse(
      await client.completions.create({ ...request, prompt: [tokens, tokens.slice(0, 3)] }),
    );
    expect(byIds.choices).toHaveLength(2);
    for (const [i, { logprobs, text }] of byIds.choices.entries()) {
      const count = i === 0 ? tokens.length : 3;
      expect(logprobs?.tokens).toHaveLength(count + 1);
      expect(logprobs?.token_logprobs[0]).toBeNull();
      expect(logprobs?.top_logprobs[0]).toBeNull();
      for (const [at, value] of logprobs!.token_logprobs.slice(1).entries()) {
        expect(value).toBeLessThanOrEqual(Math.max(...Object.values(logprobs!.top_logprobs[at + 1]!)));
        expect(logprobs!.top_logprobs[at + 1]![logprobs!.tokens[at + 1]!]).toBe(value);
      }
      for (const [at, offset] of logprobs!.text_offset.entries()) {
        expect(text.slice(offset).trimStart().startsWith(logprobs!.tokens[at]!.trim()) || at === count).toBe(true);
      }
    }
    const byText = await client.completions.create({ ...request, prompt: text, max_tokens: 0 });
    expect(byText.choices[0]?.text).toBe(text);
    expect(byText.usage?.completion_tokens).toBe(0);
    const [alone, together] = [byText.choices[0]!.logprobs!, byIds.choices[0]!.logprobs!];
    // A tokeniser that begins every text with a token tells it as well.
    const own = alone.token_logprobs!.slice(-tokens.length + 1);
    for (const [at, value] of own.entries()) {
      if (alone.tokens!.length === tokens.length) expect(value).toBeCloseTo(together.token_logprobs[at + 1]!, 4);
    }
  });

  test("several texts, several answers each, in order; sixteen tokens where nothing is said", async () => {
    const made = await client.completions.create({
      model: BASE,
      prompt: PROMPTS.slice(0, 2),
      n: 2,
      temperature: 1,
      seed: 3,
    });
    expect(made.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    const single = await client.completions.create({ model: BASE, prompt: PROMPTS[1]!, n: 2, temperature: 1, seed: 3 });
    expect(made.choices.slice(2).map(({ text }) => text)).toEqual(single.choices.map(({ text }) => text));
    expect(made.usage?.completion_tokens).toBeLessThanOrEqual(64);
    await expect(client.completions.create({ model: BASE, prompt: "the", suffix: "end" })).rejects.toMatchObject({
      code: "unsupported_parameter",
      param: "suffix",
    });
    await expect(client.completions.create({ model: BASE, prompt: "the", n: 1, best_of: 2 })).rejects.toMatchObject({
      code: "unsupported_parameter",
      param: "best_of",
    });
  });

  test("a stream has the pieces of the whole", async () => {
    const request = {
      model: BASE,
      prompt: PROMPTS[0]!,
      temperature: 0,
      max_tokens: 10,
      logprobs: 1,
      echo: true,
    } as const;
    const whole = await client.completions.create(request);
    let text = "";
    const tokens: string[] = [];
    for await (const { choices } of await client.completions.create({ ...request, stream: true })) {
      text += choices[0]?.text ?? "";
      tokens.push(...(choices[0]?.logprobs?.tokens ?? []));
    }
    expect(text).toBe(whole.choices[0]?.text);
    expect(tokens).toEqual(whole.choices[0]?.logprobs?.tokens);
  });
});

describe("responses", () => {
  const request = { model: BASE, input: "brew gloomtar", temperature: 0, max_output_tokens: 12 } as const;

  test("plain, and as a stream that the client puts together", async () => {
    const plain = await client.responses.create(request);
    expect(ResponseObject.loose().safeParse(plain).error).toBeUndefined();
    expect(plain.output_text).toBe((await ask("brew gloomtar", { max_tokens: 12 })).choices[0]?.message.content);
    const types: string[] = [];
    const stream = client.responses.stream(request);
    stream.on("event", ({ type }) => types.push(type));
    const final = await stream.finalResponse();
    expect(final.output_text).toBe(plain.output_text);
    expect(final.usage).toEqual(plain.usage);
    expect(types.slice(0, 4)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
    ]);
    expect(types.at(-1)).toMatch(/^response\.(completed|incomplete)$/);
  });

  test("messages with parts and instructions are a conversation; memory and tools are refused", async () => {
    const input = [{ role: "user" as const, content: [{ type: "input_text" as const, text: "brew gloomtar" }] }];
    expect((await client.responses.create({ ...request, input })).output_text).toBe(
      (await client.responses.create(request)).output_text,
    );
    await expect(client.responses.create({ ...request, previous_response_id: "resp_1" })).rejects.toMatchObject({
      code: "unsupported_parameter",
      param: "previous_response_id",
    });
  });
});

test("the tokeniser tells what lm-eval asks for", async () => {
  const get = async (path: string, body?: object) => {
    const response = await fetch(`${server.url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.json()) as Record<string, unknown>;
  };
  expect(await get("/tokenizer_info")).toMatchObject({ eos_token: "<eos>", bos_token: "<bos>", pad_token: "<pad>" });
  const { tokens, count, max_model_len } = z
    .object({ tokens: z.array(z.int()), count: z.int(), max_model_len: z.int() })
    .parse(await get("/tokenize", { prompt: "Q: brew <eos>", add_special_tokens: false }));
  expect([tokens.length, tokens.at(-1), max_model_len]).toEqual([count, 2, 64]);
  expect(await get("/detokenize", { tokens })).toEqual({ prompt: "Q: brew <eos>" });
  expect(await get("/detokenize", { tokens: [999] })).toMatchObject({ error: { code: "invalid_value" } });
});

test("a client that leaves its stream ends the rows", async () => {
  const stream = await client.chat.completions.create({
    model: BASE,
    messages: [{ role: "user", content: "brew gloomtar" }],
    n: 8,
    temperature: 2,
    stream: true,
  });
  for await (const _ of stream) break;
  await expect.poll(() => engine.status()[BASE]?.rows).toBe(0);
  const log = server.log();
  expect(log).toContain('"completion_tokens"');
  expect(log).not.toContain("gloomtar");
});
