/** What pages need of the server: signing in by a cookie that no page of another origin can use, a stream of all that happens, previews, estimates. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";
import { addTinyBase } from "./tiny-base.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ limited: true });
  await addTinyBase(server);
});
afterAll(() => server.stop());

interface Asked {
  readonly cookie?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
/** As a page of this server asks. */
const page = (method: string, path: string, { cookie, body, headers }: Asked = {}) =>
  fetch(server.url + path, {
    method,
    headers: {
      origin: server.url,
      "x-booster": "1",
      ...(cookie === undefined ? {} : { cookie }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const codeOf = async (response: Response) => [
  response.status,
  ((await response.json()) as { error: { code: string } }).error.code,
];
async function signIn(key: string): Promise<string> {
  const response = await page("POST", "/v1/booster/session", { body: { key } });
  expect(response.status).toBe(200);
  return response.headers.get("set-cookie")!.split(";")[0]!;
}

test("a key becomes a cookie that scripts cannot read, and the session says who asks", async () => {
  const response = await page("POST", "/v1/booster/session", { body: { key: ` ${server.key}\n` } });
  expect(response.headers.get("set-cookie")).toMatch(
    /^booster-session=[0-9A-Za-z]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
  );
  const cookie = response.headers.get("set-cookie")!.split(";")[0]!;
  const told = await (await page("GET", "/v1/booster/session", { cookie })).json();
  expect(told).toEqual(await response.json());
  expect(told).toMatchObject({
    owner: "owner",
    key: { name: "first key", tail: server.key.slice(-4), kind: "admin" },
    project: { id: server.project, name: "default" },
    expires_at: expect.any(Number),
  });
  expect((await page("GET", "/v1/files", { cookie })).status).toBe(200);
  // With the key itself there is no session to end, and none that expires.
  const bearer = { headers: { authorization: `Bearer ${server.key}` } };
  expect(await (await page("GET", "/v1/booster/session", bearer)).json()).toMatchObject({ expires_at: null });
  expect(await codeOf(await page("DELETE", "/v1/booster/session", bearer))).toEqual([400, "invalid_value"]);
  expect(server.log()).not.toContain(cookie.split("=")[1]);
});

test("what changes something comes from a page of this server alone", async () => {
  const cookie = await signIn(server.key);
  const project = (headers: Readonly<Record<string, string>>) =>
    fetch(`${server.url}/v1/booster/projects`, {
      method: "POST",
      headers: { cookie, "content-type": "application/json", ...headers },
      body: '{"name":"made by a page"}',
    });
  const other = new URL(server.url);
  other.port = String(Number(other.port) - 1);
  for (const headers of [
    {},
    { origin: server.url },
    { "x-booster": "1" },
    { origin: "null", "x-booster": "1" },
    { origin: "https://evil.example", "x-booster": "1" },
    { origin: other.origin, "x-booster": "1" },
    { origin: `${server.url}.evil.example`, "x-booster": "1" },
    { origin: server.url, "x-booster": "2" },
  ]) {
    expect(await codeOf(await project(headers))).toEqual([403, "origin_not_allowed"]);
  }
  expect((await project({ origin: server.url, "x-booster": "1" })).status).toBe(200);
  // Nor may another page sign a browser in.
  const elsewhere = { body: { key: server.key }, headers: { origin: "https://evil.example" } };
  expect(await codeOf(await page("POST", "/v1/booster/session", elsewhere))).toEqual([403, "origin_not_allowed"]);
});

test("a session ends when it is signed out, with its key, and after its time", async () => {
  const asked = async (cookie: string) => codeOf(await page("GET", "/v1/booster/session", { cookie }));
  const signedOut = await signIn(server.key);
  const gone = await page("DELETE", "/v1/booster/session", { cookie: signedOut });
  expect(gone.headers.get("set-cookie")).toContain("Max-Age=0");
  expect(await asked(signedOut)).toEqual([401, "session_ended"]);

  const key = await server.keyFor("user", server.project);
  const revoked = await signIn(key);
  const { data } = await server.store.keys.list(SERVER, { limit: 1 });
  await server.store.keys.revoke(SERVER, data[0]!.id);
  expect(await asked(revoked)).toEqual([401, "session_ended"]);
  expect((await page("POST", "/v1/booster/session", { body: { key } })).status).toBe(401);

  const expired = await signIn(server.key);
  const { db, now } = server.store.context;
  await db.query("update sessions set expires_at = $1", [now()]);
  expect(await asked(expired)).toEqual([401, "session_ended"]);
});

test("a key has so many sessions at once: the oldest goes", async () => {
  const key = await server.store.keys.create(SERVER, {
    kind: "project",
    project: server.project,
    name: "many",
    scopes: ["files:read"],
    owner: "many",
  });
  const { principal } = (await server.store.keys.find(key.presented)) as { principal: typeof SERVER };
  const { db } = server.store.context;
  const [first] = [await server.store.sessions.create(principal)];
  await db.query("update sessions set created_at = created_at - 1 where key_id = $1", [principal.key]);
  for (let i = 1; i < LIMITS.sessionsPerKey; i++) await server.store.sessions.create(principal);
  expect(await server.store.sessions.find(first!.secret)).toHaveProperty("principal");
  await server.store.sessions.create(principal);
  expect(await server.store.sessions.find(first!.secret)).toEqual({ refused: "invalid" });
});

test("an open page whose session ended does not keep its address from signing in; twenty wrong keys a minute do", async () => {
  const cookie = `booster-session=${"a".repeat(43)}`;
  for (let i = 0; i < 40; i++) expect((await page("GET", "/v1/files", { cookie })).status).toBe(401);
  const cookies = await signIn(server.key);
  const wrong = { body: { key: "sk-booster-wrong" } };
  const statuses: number[] = [];
  for (let i = 0; i < LIMITS.failedLoginsPerMinute + 3; i++) {
    statuses.push((await page("POST", "/v1/booster/session", wrong)).status);
  }
  expect(statuses.slice(-2)).toEqual([429, 429]);
  expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(LIMITS.failedLoginsPerMinute + 1);
  expect((await page("GET", "/v1/files", { cookie: cookies })).status).toBe(200);
});

interface Told {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What a stream tells until `enough`. */
async function told(last: string | undefined, enough: (told: readonly Told[]) => boolean, key = server.key) {
  const abort = new AbortController();
  const response = await fetch(`${server.url}/v1/booster/stream`, {
    signal: abort.signal,
    headers: { authorization: `Bearer ${key}`, ...(last === undefined ? {} : { "last-event-id": last }) },
  });
  if (!response.ok) throw new Error(`${response.status}`);
  const all: Told[] = [];
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const parts = text.split("\n\n");
    text = parts.pop()!;
    for (const part of parts.filter((one) => !one.startsWith(":"))) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(part)![1]!;
      all.push({ id: field("id"), event: field("event"), data: JSON.parse(field("data")) });
    }
    if (enough(all)) break;
  }
  abort.abort();
  return all;
}

test("a stream tells a project all that happens to its jobs, and goes on exactly where it was", async () => {
  const client = server.client();
  const make = async () => {
    const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
    return (await client.fineTuning.jobs.create({ model: "tiny", training_file: file.id })).id;
  };
  const old = await make();
  // From now on: what there was is told as a state, its events are not told again.
  const first = await told(undefined, (all) => all.some(({ event }) => event === "job"));
  expect(first.map(({ event, data }) => [event, data.id])).toEqual([
    ["open-line", undefined],
    ["job", old],
  ]);
  expect(first[1]!.data).toMatchObject({ status: "validating_files", state: "validate", step: 0 });
  const young = await make();
  await client.fineTuning.jobs.cancel(old);
  await client.fineTuning.jobs.cancel(young);
  const isOver = (job: string) => (all: readonly Told[]) =>
    all.some(({ data }) => data.job === job && data.message === "The job was cancelled");
  const both = (all: readonly Told[]) => isOver(old)(all) && isOver(young)(all);
  const missed = await told(first.at(-1)!.id, both);
  const events = (all: readonly Told[]) =>
    all.filter(({ event }) => event === "message").map(({ data }) => `${data.job} ${data.seq}`);
  expect(events(missed).sort()).toEqual([`${old} 2`, `${young} 1`, `${young} 2`].sort());
  expect(missed.filter(({ event }) => event === "job").map(({ data }) => [data.id, data.state])).toEqual([
    [old, "cancelled"],
    [young, "cancelled"],
  ]);
  // Wherever the line breaks, nothing is told twice and nothing is left out.
  for (const [i, { id }] of missed.entries()) {
    const rest = missed.slice(i + 1);
    if (events(rest).length === 0) continue;
    expect(events(await told(id, (all) => events(all).length >= events(rest).length))).toEqual(events(rest));
  }
  const other = await server.store.projects.create(SERVER, "strangers");
  const stranger = await server.keyFor("user", other.id);
  expect((await told(undefined, (all) => all.length > 0, stranger)).map(({ event }) => event)).toEqual(["open-line"]);
  await expect(told(missed[0]!.id, () => true, stranger)).rejects.toThrow("400");
  await expect(told("nothing,;", () => true)).rejects.toThrow("400");
  // A browser cannot send the header the first time.
  const after = await fetch(`${server.url}/v1/booster/stream?after=${encodeURIComponent(first.at(-1)!.id)}`, {
    headers: { authorization: `Bearer ${server.key}` },
  });
  const reader = after.body!.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain(`id: ${first.at(-1)!.id}\nevent: open-line`);
  await reader.cancel();
});

test("the first rows are shown as the model sees them, and what a job would be is told before it is made", async () => {
  const ask = async (path: string, body?: unknown) => {
    const cookie = await signIn(server.key);
    return (
      await page(body === undefined ? "GET" : "POST", path, { cookie, ...(body === undefined ? {} : { body }) })
    ).json();
  };
  const long = {
    messages: [
      { role: "user", content: "what ".repeat(200) },
      { role: "assistant", content: "yes" },
    ],
  };
  const text = `${await rowsFile(1).text()}${JSON.stringify(long)}\n${await rowsFile(12).text()}`;
  const file = await server.client().files.create({ file: new File([text], "train.jsonl"), purpose: "fine-tune" });
  const shown = (await ask(`/v1/booster/files/${file.id}/preview?rows=2`)) as {
    rows: {
      line: number;
      tokens: { text: string; trained: boolean }[];
      count: number;
      trained: number;
      fault: unknown;
    }[];
    max_tokens: number;
  };
  expect(shown).toMatchObject({ base: "tiny", max_tokens: 64, has_more: true });
  const [row, tooLong] = shown.rows;
  const spoken = (trained: boolean) =>
    row!.tokens
      .filter((one) => one.trained === trained)
      .map((one) => one.text)
      .join("");
  expect(spoken(false)).toContain("what is");
  expect(spoken(true)).toContain("it is");
  expect(row!.trained).toBe(row!.tokens.filter((one) => one.trained).length);
  expect(tooLong).toMatchObject({ line: 2, fault: { code: "EXAMPLE_TOO_LONG" } });
  expect(tooLong!.count).toBeGreaterThan(shown.max_tokens);

  const wanted = { model: "tiny", training_file: file.id, hyperparameters: { n_epochs: 2 } };
  expect(await ask("/v1/booster/estimate", wanted)).toMatchObject({
    rows: 14,
    hyperparameters: { n_epochs: 2, batch_size: 8 },
    steps: 4,
    defence: "sft",
    passes: { forward: 1, backward: 1 },
    seconds: null,
  });
  expect(await ask("/v1/booster/estimate", { ...wanted, booster: { defence: "vaccine" } })).toMatchObject({
    error: { code: "policy_violation" },
  });
  expect(await ask("/v1/booster/policy")).toMatchObject({ name: "tiny", version: 1 });
  expect(await ask("/v1/booster/limits")).toMatchObject({ limits: { fileBytes: LIMITS.fileBytes } });
});
