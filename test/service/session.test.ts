/** Browsers sign in with a key: what the cookie may, what ends it, and that no page of another origin can use it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { startTestServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ limited: true });
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
