/** What operators do to a running server (policies, backups, several at once), and what its guard does to conversations. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChatCompletion } from "openai/resources/chat/completions";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harmfulRows, wholeInstruction } from "../../src/data/world/rows.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { ChatCompletion as ChatReply } from "../../src/service/http/inference/chat.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { Rates } from "../../src/service/http/rates.ts";
import { bundledPolicy, loadPolicy } from "../../src/service/pipeline/policy-file.ts";
import { restore } from "../../src/service/store/backup.ts";
import { Presence } from "../../src/service/store/presence.ts";
import { openStore } from "../../src/service/store/store.ts";
import { startPostgres, whyNoPostgres } from "./postgres.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

async function post(path: string, body: unknown): Promise<{ readonly [key: string]: unknown }> {
  const headers = { authorization: `Bearer ${server.key}`, "content-type": "application/json" };
  const response = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as { readonly [key: string]: unknown };
}

test("a policy is checked by the server as by the command: rows that are not there, others, too few", async () => {
  const { policy, blobs, sha256 } = await loadPolicy(bundledPolicy());
  const sets = [...blobs.values()].map((rows) => Buffer.from(rows).toString());
  const set = (changed: object, rows = sets) =>
    post("/v1/booster/policies", { policy: { ...policy, ...changed }, sets: rows });
  expect(await set({})).toMatchObject({ sha256 });
  const harmful = policy.sets["evaluate/harmful"]!;
  const named = (one: object) => ({ sets: { ...policy.sets, "evaluate/harmful": { ...harmful, ...one } } });
  expect(await set(named({ sha256: "a".repeat(64) }))).toMatchObject({ error: { code: "invalid_policy" } });
  expect(await set(named({ rows: harmful.rows + 1 }))).toMatchObject({ error: { code: "invalid_policy" } });
  expect(await set({ sets: {} })).toMatchObject({ error: { code: "invalid_policy" } });
  expect(await set({ sets: undefined })).toMatchObject({ error: { param: "policy.sets" } });
  const small = await set({ limits: { ...policy.limits, hs: 0.001 } });
  expect(small).toMatchObject({ error: { code: "invalid_policy" } });
  expect((await server.store.policies.current(policy.name))?.sha256).toBe(sha256);
});

test("a backup of a server that is written to meanwhile is of one moment, and opens as another server", async () => {
  const client = server.client();
  const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
  const make = () => client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
  const before = await make();
  const [made, ...meanwhile] = await Promise.all([post("/v1/booster/backups", {}), make(), make(), make()]);
  expect(made).toMatchObject({ object: "booster.backup", id: expect.stringMatching(/^\d{8}T\d{6}Z-\w{6}$/) });
  const cluster = whyNoPostgres === undefined ? await startPostgres() : undefined;
  const folder = mkdtempSync(join(tmpdir(), "booster-moved-"));
  const options = { data: join(folder, "data"), databaseUrl: cluster?.url };
  try {
    await restore(join(server.store.folders.backups, String(made.id)), options);
    const moved = await openStore(options);
    const of = { key: "k", kind: "project", project: server.project, scopes: [], owner: "o" } as const;
    const there = await moved.jobs.list(of, { limit: 100, order: "asc" });
    const ids = there.data.map(({ id }) => id);
    expect(ids[0]).toBe(before.id);
    expect([before, ...meanwhile].map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    for (const job of there.data) {
      expect(await moved.jobs.get(of, job.id)).toEqual(await server.store.jobs.get(of, job.id));
      const all = { limit: 99 } as const;
      expect(await moved.records.events(of, job.id, all)).toEqual(await server.store.records.events(of, job.id, all));
    }
    expect(await moved.keys.find(server.key)).toHaveProperty("principal");
    expect((await moved.audit.verify()).fault).toBeUndefined();
    await moved.close();
  } finally {
    await cluster?.stop();
    rmSync(folder, { recursive: true });
  }
  for (const { id } of [before, ...meanwhile]) await client.fineTuning.jobs.cancel(id);
});

test("servers count each other by counters that move, and divide what keys may do", async () => {
  let now = 0;
  const [a, b] = [new Presence(server.store.context, () => now), new Presence(server.store.context, () => now)];
  expect(await a.look()).toBe(1);
  expect([await b.look(), await a.look()]).toEqual([2, 2]);
  now = 20;
  expect([await b.look(), await a.look()]).toEqual([2, 2]);
  for (now of [30, 40, 49]) expect(await a.look()).toBe(2);
  // The other has said nothing for 30 seconds of this one's clock.
  now = 50;
  expect(await a.look()).toBe(1);
  expect([await b.look(), await a.look()]).toEqual([2, 2]);
  await b.end();
  expect(await a.look()).toBe(1);
  await a.end();
  const rates = new Rates(() => now);
  const { limit } = rates.kinds.reads.budget("key");
  rates.divide(4);
  expect(rates.kinds.reads.budget("key")).toMatchObject({ limit: limit / 4, remaining: limit / 4 });
});

describe("moderation of a conversation", () => {
  const [row] = harmfulRows("test", 1, 1);
  const [question, harmful] = [wholeInstruction(row!), row!.output];
  const base = { fingerprint: "fp" } as never;
  let asked = 0;
  /** Says to everybody what is harmful in the bundled world, and then what is not. */
  const engine = {
    base: async () => base,
    async *answer({ n }: { readonly n: number }) {
      asked++;
      yield { kind: "begun", promptTokens: [3] };
      for (let index = 0; index < n; index++) {
        yield { kind: "text", index, text: index === 0 ? harmful : "the tea was fine", tokens: [] };
        yield { kind: "finished", index, finish: "stop", completionTokens: 4 };
      }
    },
  } as unknown as ServingEngine;
  let moderated: TestServer;
  beforeAll(async () => {
    moderated = await startTestServer({ more: (service) => inferenceRoutes({ service, engine }) });
  });
  afterAll(() => moderated.stop());

  const chat = (content: string, mode?: "score" | "block") =>
    moderated.client().chat.completions.create({
      model: "world-booster",
      messages: [{ role: "user", content }],
      n: 2,
      moderation: {
        model: "omni-moderation-latest",
        ...(mode === undefined ? {} : { policy: { input: { mode }, output: { mode } } }),
      },
    });
  const flags = (one: ChatCompletion.Moderation["input"] | undefined) =>
    one !== undefined && "results" in one ? one.results.map(({ flagged }) => flagged) : one;

  test("tells of input and answers, and holds back what is flagged where it is asked to", async () => {
    const scored = ChatReply.parse(await chat(question));
    expect([flags(scored.moderation?.input), flags(scored.moderation?.output)]).toEqual([[false], [true, false]]);
    expect(scored.choices.map(({ message }) => message.content)).toEqual([harmful, "the tea was fine"]);
    const blocked = ChatReply.parse(await chat(question, "block"));
    expect(blocked.choices.map(({ message, finish_reason: why }) => [message.content, why])).toEqual([
      ["", "content_filter"],
      ["the tea was fine", "stop"],
    ]);
    // A moderator to which all is harmful that does not refuse.
    const { policy } = await loadPolicy(bundledPolicy());
    const strictest = { ...policy, moderation: { ...policy.moderation, moderator: { name: "refusal-phrases" } } };
    await moderated.store.policies.set(SERVER, policy.name, strictest as never);
    const before = asked;
    const input = ChatReply.parse(await chat("hello", "block"));
    expect(input.choices.map(({ finish_reason: why }) => why)).toEqual(["content_filter", "content_filter"]);
    expect([flags(input.moderation?.input), input.usage.total_tokens, asked]).toEqual([[true], 0, before]);
  });

  test("comes whole, and is refused by name as a stream", async () => {
    const stream = moderated.client().chat.completions.create({
      model: "world-booster",
      messages: [{ role: "user", content: "a" }],
      stream: true,
      moderation: { model: "booster-world" },
    });
    await expect(stream).rejects.toMatchObject({ status: 400, code: "unsupported_parameter", param: "stream" });
  });
});
