/** A7: large files with many faults, from several clients at once: what is wrong is told exactly, and memory stays as it was. */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RandomStream } from "../../src/tensor/random.ts";
import { startTestServer, type TestServer } from "./server.ts";

const MB = 2 ** 20;
const [SIZE, FAULTS] = process.env.BOOSTER_NIGHTLY === undefined ? [4 * MB, 150] : [511 * MB, 1000];
const CLIENTS = 5;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const BAD = [
  "no JSON",
  '{"messages":[]}',
  '{"messages":[{"role":"user","content":"a"}]}',
  '{"prompt":"a"}',
  '{"messages":7}',
];
const row = (i: number) =>
  `{"messages":[{"role":"user","content":"${`what is ${i} `.repeat(20)}"},{"role":"assistant","content":"${`it is ${i} `.repeat(20)}"}]}`;

/** Lines of a file, some of which are wrong, and the numbers of those. */
function file(client: number) {
  const random = new RandomStream(client, "faults");
  const bytes = row(123_456).length + 1;
  const lines = Math.floor(SIZE / bytes);
  const wrong = new Set<number>();
  for (let i = 0; wrong.size < FAULTS; i++) wrong.add(1 + Math.floor(lines * random.uniform(i)));
  async function* text() {
    let part = "";
    for (let line = 1; line <= lines; line++) {
      part += `${wrong.has(line) ? BAD[line % BAD.length] : row(line)}\n`;
      if (part.length < 2 ** 16) continue;
      yield part;
      part = "";
    }
    yield part;
  }
  return { text, lines, wrong: [...wrong].sort((a, b) => a - b) };
}

/** What a client that streams is answered. */
async function upload(text: () => AsyncGenerator<string>): Promise<{ readonly id: string; readonly bytes: number }> {
  const sent = request(`${server.url}/v1/files`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.key}`, "content-type": "multipart/form-data; boundary=b" },
  });
  const answered = once(sent, "response").then(([answer]) => textOf(answer as IncomingMessage));
  sent.write('--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n');
  sent.write('--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n');
  for await (const part of text()) {
    if (!sent.write(part)) await once(sent, "drain");
  }
  sent.end("\r\n--b--\r\n");
  return JSON.parse(await answered);
}

test(`${CLIENTS} files of ${SIZE / MB} MB with ${FAULTS} faults at once`, async () => {
  const before = process.memoryUsage.rss();
  let [peak, slowest] = [before, 0];
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 20);
  let over = false;
  const lives = (async () => {
    while (!over) {
      const start = performance.now();
      expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
      slowest = Math.max(slowest, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  const start = performance.now();
  const files = Array.from({ length: CLIENTS }, (_, i) => file(i));
  const made = await Promise.all(files.map(({ text }) => upload(text)));
  const seconds = (performance.now() - start) / 1000;
  over = true;
  await lives;
  clearInterval(watch);
  const grown = Math.round((peak - before) / MB);
  const total = made.reduce((sum, { bytes }) => sum + bytes, 0) / MB;
  console.log(
    `${Math.round(total / seconds)} MB/s, ${grown} MB more memory, slowest /healthz ${Math.round(slowest)} ms`,
  );
  expect(grown).toBeLessThan(256);
  for (const [i, { wrong, lines }] of files.entries()) {
    const headers = { authorization: `Bearer ${server.key}` };
    const checks = await (await fetch(`${server.url}/v1/booster/files/${made[i]!.id}/checks`, { headers })).json();
    expect(checks).toMatchObject({ fault_count: FAULTS, rows: lines - FAULTS });
    const told = (checks as { readonly faults: readonly { readonly line: number }[] }).faults.map(({ line }) => line);
    expect(told).toEqual(wrong.slice(0, 100));
  }
}, 3_600_000);
