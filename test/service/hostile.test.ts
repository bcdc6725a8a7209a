/** A3, T24, T27, T28, T29: answers that never arrive, names that lead elsewhere, secrets, limits, bodies that lie. */
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rate } from "../../src/service/http/rates.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** Passes everything on, and cuts the answer of every POST's first try. */
async function cuttingProxy(target: string): Promise<Server> {
  const proxy = createServer((incoming, outgoing) => {
    const first = incoming.method === "POST" && incoming.headers["x-stainless-retry-count"] === "0";
    const { host: _, ...headers } = incoming.headers;
    const on = request(target + incoming.url, { method: incoming.method, headers }, (answer) => {
      if (first) {
        answer.resume();
        answer.once("end", () => outgoing.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(on);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return proxy;
}

/** Of each kind: files, uploads, jobs. */
const LOST = process.env.BOOSTER_NIGHTLY === undefined ? 17 : 167;

test(`A3: whose first answer is lost and who asks again has made one thing, not two: ${3 * LOST} of ${3 * LOST}`, async () => {
  const proxy = await cuttingProxy(server.url);
  const { port } = proxy.address() as AddressInfo;
  const client = new OpenAI({ apiKey: server.key, baseURL: `http://127.0.0.1:${port}/v1` });
  const seen = new Set<string>();
  const makeAll = async (i: number) => {
    const { id } = await client.files.create({ file: rowsFile(12 + i, `${i}.jsonl`), purpose: "fine-tune" });
    const ask = { bytes: i + 1, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" } as const;
    const upload = await client.uploads.create(ask);
    const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: id, seed: i });
    for (const one of [id, upload.id, job.id]) seen.add(one);
    // What waits in the queue has a limit.
    await server.client().fineTuning.jobs.cancel(job.id);
  };
  // Clients wait before they ask again: several do so at once.
  for (let i = 0; i < LOST; i += 20) {
    await Promise.all(Array.from({ length: Math.min(20, LOST - i) }, (_, j) => makeAll(i + j)));
  }
  const { db } = server.store.context;
  const made = await db.query<{ id: string }>(
    "select id from files union select id from uploads union select id from jobs",
  );
  expect(made.map(({ id }) => id).sort()).toEqual([...seen].sort());
  expect(seen.size).toBe(3 * LOST);
  proxy.closeAllConnections();
  proxy.close();
});

test("an idempotency key gives the same object, and refuses another request", async () => {
  const client = server.client();
  const ask = { bytes: 5, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" } as const;
  const headers = { "Idempotency-Key": "mine" };
  const made = await client.uploads.create(ask, { headers });
  expect((await client.uploads.create(ask, { headers })).id).toBe(made.id);
  const other = client.uploads.create({ ...ask, bytes: 6 }, { headers });
  await expect(other).rejects.toMatchObject({ status: 400, code: "idempotency_mismatch" });
});

test("T24: whatever stands in the place of an id is looked up, and not there", async () => {
  const forms = [
    "../../etc/passwd",
    "..%2f..%2fetc",
    "%00",
    "a\0b",
    "C:\\x",
    "\u2025/\u2025",
    ".",
    "%2e%2e",
    "'; drop table jobs",
  ];
  const routes = ["/v1/files/", "/v1/fine_tuning/jobs/", "/v1/models/", "/v1/uploads/", "/v1/booster/policies/"];
  for (const path of routes) {
    for (const form of forms) {
      const method = path === "/v1/uploads/" ? "POST" : "GET";
      const address = `${server.url}${path}${encodeURIComponent(form)}${method === "POST" ? "/cancel" : ""}`;
      const response = await fetch(address, { method, headers: { authorization: `Bearer ${server.key}` } });
      expect([404, 405, 400], `${path}${form}`).toContain(response.status);
      expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
    }
  }
  const file = rowsFile(12, "../../evil\r\nx-evil: 1.jsonl");
  const made = await server.client().files.create({ file, purpose: "fine-tune" });
  expect(made.filename).not.toMatch(/[/\\\r\n]/);
  const content = await server.client().files.content(made.id);
  expect(content.headers.get("x-evil")).toBeNull();
  expect(content.headers.get("content-disposition")).toMatch(/^attachment; filename="file-\w+"/);
});

test("T27: neither keys, nor names, nor texts are in the log", async () => {
  const client = server.client();
  const text = `{"messages":[{"role":"user","content":"CANARY-text"}]}\n`.repeat(12);
  await client.files.create({ file: new File([text], "CANARY-name.jsonl"), purpose: "fine-tune" });
  const wrong = client.fineTuning.jobs.create({ model: "CANARY-model", training_file: "CANARY-file" });
  await expect(wrong).rejects.toThrow();
  await expect(client.moderations.create({ input: "CANARY-input", x: 1 } as never)).rejects.toThrow();
  await fetch(`${server.url}/v1/CANARY-path?CANARY=query`, { headers: { "x-canary": "CANARY-header" } });
  expect(server.log()).toContain('"route":"/v1/files"');
  expect(server.log()).not.toContain("CANARY");
  expect(server.log()).not.toContain(server.key.slice(22));
});

describe("T28 and T29", () => {
  test("tokens come back with time, and who has none is told when to come", () => {
    let now = 0;
    const rate = new Rate(60, () => now);
    for (let i = 0; i < 60; i++) expect(rate.take("a")).toBeUndefined();
    expect(rate.take("a")).toBeCloseTo(1);
    expect(rate.take("b")).toBeUndefined();
    now = 2000;
    expect(rate.take("a", 2)).toBeUndefined();
    expect(rate.take("a")).toBeCloseTo(1);
  });

  test("a key that has used its writes is told 429 with a time, and the client's own retry gets through", async () => {
    const limited = await startTestServer({ limited: true });
    const ask = () =>
      fetch(`${limited.url}/v1/fine_tuning/jobs`, {
        method: "POST",
        headers: { authorization: `Bearer ${limited.key}`, "content-type": "application/json" },
        body: "{}",
      });
    let last = await ask();
    for (let i = 0; i < 200 && last.status !== 429; i++) last = await ask();
    expect(last.status).toBe(429);
    expect(Number(last.headers.get("retry-after-ms"))).toBeGreaterThan(0);
    expect(await last.json()).toMatchObject({ error: { type: "requests", code: "rate_limit_exceeded" } });
    const upload = { bytes: 5, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" } as const;
    expect(await limited.client().uploads.create(upload)).toMatchObject({ status: "pending" });
    await limited.stop();
  });

  test("bodies that are too long, announced or not, deep, damaged or of another kind have their own codes", async () => {
    const send = async (body: string | ReadableStream, type = "application/json", path = "/v1/fine_tuning/jobs") => {
      const response = await fetch(server.url + path, {
        method: "POST",
        headers: { authorization: `Bearer ${server.key}`, "content-type": type },
        body,
        duplex: "half",
      } as RequestInit);
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
    };
    const long = `{"model":"${"a".repeat(1_100_000)}"}`;
    expect(await send(long)).toEqual([413, "body_too_large"]);
    const chunked = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 40; i++) controller.enqueue(new Uint8Array(30_000).fill(32));
        controller.close();
      },
    });
    expect(await send(chunked)).toEqual([413, "body_too_large"]);
    expect(await send("[".repeat(100) + "]".repeat(100))).toEqual([400, "invalid_json"]);
    expect(await send('{"a":1,"a":2}')).toEqual([400, "invalid_json"]);
    expect(await send("{", "application/json")).toEqual([400, "invalid_json"]);
    expect(await send("{}", "text/plain")).toEqual([415, "unsupported_media_type"]);
    expect(await send('{"model":"\\u0000"}')).toEqual([400, "invalid_value"]);
    expect(await send("x", "multipart/form-data", "/v1/files")).toEqual([415, "unsupported_media_type"]);
    expect(await send("x", "multipart/form-data; boundary=b", "/v1/files")).toEqual([400, "invalid_value"]);
  });

  test("a body that is cut off ends its request alone", async () => {
    const { port } = new URL(server.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(
      `POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${server.key}\r\n` +
        "content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n" +
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{"messages"',
    );
    await once(socket, "connect");
    socket.destroy();
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect((await server.client().files.list()).data.every(({ filename }) => filename !== "a")).toBe(true);
  });
});

test("events are streamed, and go on behind the last one that was read", async () => {
  const client = server.client();
  const file = await client.files.create({ file: rowsFile(30), purpose: "fine-tune" });
  const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
  await client.fineTuning.jobs.pause(job.id);
  const read = async (last: string | undefined, wanted: number) => {
    const stop = new AbortController();
    const response = await fetch(`${server.url}/v1/booster/stream?job=${job.id}`, {
      headers: { authorization: `Bearer ${server.key}`, ...(last === undefined ? {} : { "last-event-id": last }) },
      signal: stop.signal,
    });
    let text = "";
    for await (const chunk of response.body!) {
      text += Buffer.from(chunk).toString();
      if (text.split("\n\n").length > wanted) break;
    }
    stop.abort();
    return [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id!);
  };
  const ids = await read(undefined, 2);
  expect(ids).toEqual([`${job.id}:1`, `${job.id}:2`]);
  await client.fineTuning.jobs.resume(job.id);
  expect(await read(ids[1], 1)).toEqual([`${job.id}:3`]);
  await client.fineTuning.jobs.cancel(job.id);
});

test("a number that the database has no room for is refused by its name", async () => {
  const claim = { id: "w", slots: ["light"], threads: 1, host: "h", pid: 1, version: "0" };
  const headers = { authorization: `Bearer ${await server.keyFor("worker")}`, "content-type": "application/json" };
  for (const param of ["threads", "pid"]) {
    const body = JSON.stringify({ ...claim, [param]: 2 ** 31 });
    const answer = await fetch(`${server.url}/internal/claim`, { method: "POST", headers, body });
    expect(await answer.json()).toMatchObject({ error: { code: "invalid_value", param } });
  }
});
