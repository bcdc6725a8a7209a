/** T28: who sends or reads too slowly is let go, and holds up nobody. The server's limits are seconds; here they are parts of one. */
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Env } from "../../src/service/http/route.ts";
import { listen } from "../../src/service/http/server.ts";
import { eventStream, sseData } from "../../src/service/http/sse.ts";
import { startTestServer, type TestServer } from "./server.ts";

vi.mock("../../src/service/domain/limits.ts", async (original) => {
  const { LIMITS } = await original<typeof import("../../src/service/domain/limits.ts")>();
  return { LIMITS: { ...LIMITS, headerSeconds: 0.3, idleSeconds: 0.3, drainSeconds: 0.3 } };
});

const SLOW = process.env.BOOSTER_NIGHTLY === undefined ? 40 : 200;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** All that a connection is told until it is ended. */
async function told(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => undefined);
  await once(socket, "close");
  return text;
}

const open = () => connect(Number(new URL(server.url).port), "127.0.0.1");

test(`${SLOW} connections whose headers trickle in are told and ended, and others are answered meanwhile`, async () => {
  const sockets = Array.from({ length: SLOW }, open);
  const trickle = setInterval(() => {
    for (const socket of sockets) if (!socket.closed) socket.write("a");
  }, 100);
  for (const socket of sockets) socket.write("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ");
  const ends = Promise.all(sockets.map(told));
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  const all = await ends;
  clearInterval(trickle);
  for (const text of all) {
    expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(JSON.parse(text.split("\r\n\r\n")[1]!)).toMatchObject({ error: { code: "request_timeout", param: null } });
  }
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

test.each([
  ["JSON", "/v1/fine_tuning/jobs", "application/json", '{"model":'],
  [
    "a form",
    "/v1/files",
    "multipart/form-data; boundary=b",
    '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{',
  ],
])("a body that stops coming (%s) is told so, and leaves nothing", async (_, path, type, begin) => {
  const socket = open();
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${server.key}\r\n` +
      `content-type: ${type}\r\ncontent-length: 100000\r\n\r\n${begin}`,
  );
  const text = await told(socket);
  expect(text).toMatch(/^HTTP\/1\.1 408 /);
  expect(text).toContain("the body stopped coming");
  expect((await server.client().files.list()).data).toEqual([]);
});

test("what is no HTTP, or has endless headers, is told in the form of all errors", async () => {
  const odd: [string, number, string][] = [
    ["\x16\x03\x01 hello\r\n\r\n", 400, "malformed_request"],
    [
      "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
      400,
      "malformed_request",
    ],
    [`GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${"a".repeat(70_000)}\r\n\r\n`, 431, "headers_too_large"],
  ];
  for (const [bytes, status, code] of odd) {
    const socket = open();
    socket.write(bytes);
    const text = await told(socket);
    expect(text.split("\r\n")[0]).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(text.split("\r\n\r\n")[1]!)).toMatchObject({ error: { code } });
  }
});

test("a reader of events that takes nothing is let go, and what produces them ends", async () => {
  let ended: () => void;
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let left = false;
  async function* flood(gone: AbortSignal) {
    try {
      while (!gone.aborted) yield sseData("x".repeat(100_000));
    } finally {
      left = true;
    }
  }
  const app = {
    fetch: (_: Request, { incoming }: Env["Bindings"]) => eventStream(flood, { incoming, onEnd: () => ended() }),
  };
  const listening = await listen(app as never, "127.0.0.1", 0);
  const asked = request({ host: "127.0.0.1", port: listening.port }, (answer) => answer.pause());
  asked.on("error", () => undefined).end();
  await end;
  await expect.poll(() => left).toBe(true);
  asked.destroy();
  await listening.close(1);
});

test("an answer that is asked for its headers alone leaves no stream open", async () => {
  const client = server.client();
  const file = new File(
    ['{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'.repeat(12)],
    "a",
  );
  const { id } = await client.files.create({ file, purpose: "fine-tune" });
  const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: id });
  const headers = { authorization: `Bearer ${server.key}` };
  for (const path of [`/v1/files/${id}/content`, `/v1/booster/stream?job=${job.id}`]) {
    expect((await fetch(server.url + path, { method: "HEAD", headers })).status).toBe(200);
  }
  expect(await (await fetch(`${server.url}/metrics`, { headers })).text()).toMatch(/^sse_clients 0$/m);
});

test("a file that fails on its way is cut, and nobody reads why: neither its reader nor the terminal", async () => {
  const client = server.client();
  const text = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'.repeat(12);
  const { id } = await client.files.create({ file: new File([text], "a"), purpose: "fine-tune" });
  const said = [vi.spyOn(console, "error"), vi.spyOn(console, "info")];
  async function* failing() {
    yield Buffer.from(text.slice(0, 100));
    throw new Error("the words of a tenant");
  }
  const open = vi.spyOn(server.store.blobs, "open").mockImplementation(async () => Readable.from(failing()));
  try {
    const headers = { authorization: `Bearer ${server.key}` };
    const answer = await fetch(`${server.url}/v1/files/${id}/content`, { headers });
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
    for (const spy of said) expect(spy).not.toHaveBeenCalled();
    expect(server.log()).toContain("an answer was cut");
    expect(server.log()).not.toContain("the words of a tenant");
  } finally {
    for (const spy of [...said, open]) spy.mockRestore();
  }
});
