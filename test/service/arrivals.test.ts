/** What is sent and refused leaves no bytes behind, and senders at once do not share the same room. */
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { onBothDatabases } from "./databases.ts";
import { startTestServer, type TestServer } from "./server.ts";

let made = 0;

onBothDatabases("bytes that come", (kept) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ store: { ...kept().store, close: async () => undefined } });
  });
  afterAll(() => server.stop());

  /** A project of its own, with room for so many bytes. */
  async function projectWith(room: number) {
    const { store } = kept();
    const { id } = await store.projects.create(SERVER, `room ${++made}`);
    const of = { key: "k", kind: "project", project: id, scopes: [], owner: "o" } as const;
    const full = { sha256: "0".repeat(64), bytes: LIMITS.fileBytesPerProject - room, filename: "full", purpose: "x" };
    await store.files.create(of, full);
    return { key: await server.keyFor("user", id), left: async () => (await store.files.room(of)).bytes };
  }

  /** Hashes of all blobs, and names of what is being written. */
  async function onDisk(): Promise<readonly string[]> {
    const { blobs, folders } = kept().store;
    const names = readdirSync(folders.tmp);
    for await (const { sha256 } of blobs.list()) names.push(sha256);
    return names.sort();
  }

  type Part = readonly [disposition: string, text: string];
  const formOf = (parts: readonly Part[], end = "--b--\r\n"): string =>
    parts.map(([name, text]) => `--b\r\ncontent-disposition: form-data; ${name}\r\n\r\n${text}\r\n`).join("") + end;
  const file = (text: string, name = "file"): Part => [`name="${name}"; filename="a.jsonl"`, text];
  const purpose: Part = ['name="purpose"', "fine-tune"];

  async function send(key: string, path: string, parts: readonly Part[], headers: Record<string, string> = {}) {
    const type = { authorization: `Bearer ${key}`, "content-type": "multipart/form-data; boundary=b" };
    const body = formOf(parts);
    const answer = await fetch(server.url + path, { method: "POST", headers: { ...type, ...headers }, body });
    const { id, error } = (await answer.json()) as { id?: string; error?: { code: string } };
    return { status: answer.status, id, code: error?.code };
  }

  /** A sender who has sent the beginning of a form, and says no more. */
  async function begin(key: string, parts: readonly Part[], end: string) {
    const before = (await onDisk()).length;
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1").on("error", () => undefined);
    const body = formOf(parts, end);
    socket.write(
      `POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\n` +
        `content-type: multipart/form-data; boundary=b\r\ncontent-length: ${body.length + 1000}\r\n\r\n${body}`,
    );
    await expect.poll(async () => (await onDisk()).length).toBe(before + 1);
    return socket;
  }

  test("a form that is refused after its file leaves nothing", async () => {
    const { key } = await projectWith(10_000);
    const before = await onDisk();
    const refused = (parts: readonly Part[]) => send(key, "/v1/files", parts);
    expect(await refused([file("an unknown field follows"), purpose, ['name="porpose"', "x"]])).toMatchObject({
      code: "unknown_parameter",
    });
    expect(await refused([file("no purpose follows")])).toMatchObject({ status: 400 });
    expect(await refused([file("another file follows"), purpose, file("too many")])).toMatchObject({ status: 400 });
    expect(await refused([file("a field follows twice"), purpose, purpose])).toMatchObject({ status: 400 });
    expect(await refused([file("under another name", "data"), purpose])).toMatchObject({ status: 400 });
    expect(await onDisk()).toEqual(before);
    const once = { "idempotency-key": "one" };
    expect(await send(key, "/v1/files", [file("first"), purpose], once)).toMatchObject({ status: 200 });
    const with1 = await onDisk();
    expect(await send(key, "/v1/files", [file("second"), purpose], once)).toMatchObject({
      code: "idempotency_mismatch",
    });
    expect(await onDisk()).toEqual(with1);
  });

  test("a sender who is gone, in the file or behind it, leaves nothing", async () => {
    const { key } = await projectWith(100_000);
    const before = await onDisk();
    const inFile = await begin(key, [], `--b\r\ncontent-disposition: form-data; ${file("")[0]}\r\n\r\nhalf a file`);
    inFile.destroy();
    await expect.poll(onDisk).toEqual(before);
    const behind = await begin(key, [file("a whole file"), purpose], "--b\r\ncontent-disposition: form-");
    behind.destroy();
    await expect.poll(onDisk).toEqual(before);
  });

  test("of many files at once those stay that there is room for, and no bytes of others", async () => {
    const { key, left } = await projectWith(100_000);
    const before = await onDisk();
    const all = Array.from({ length: 6 }, (_, i) => send(key, "/v1/files", [file(String(i).repeat(40_000)), purpose]));
    const told = await Promise.all(all);
    expect(told.map(({ code }) => code ?? "stored").sort()).toEqual([
      ...Array(4).fill("quota_exceeded"),
      ...Array(2).fill("stored"),
    ]);
    expect((await onDisk()).length).toBe(before.length + 2);
    expect(await left()).toBe(20_000);
  });

  test("what is still coming has its room, until it breaks off", async () => {
    const { key } = await projectWith(100_000);
    const head = `--b\r\ncontent-disposition: form-data; ${file("")[0]}\r\n\r\n`;
    const slow = await begin(key, [], head + "s".repeat(60_000));
    const other = () => send(key, "/v1/files", [file("o".repeat(50_000)), purpose]);
    expect(await other()).toMatchObject({ code: "quota_exceeded" });
    slow.destroy();
    await expect.poll(other).toMatchObject({ status: 200 });
  });

  test("parts at once are not more than twice what was announced", async () => {
    const { key } = await projectWith(100_000);
    const ask = { bytes: 6, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" };
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const made = await fetch(`${server.url}/v1/uploads`, { method: "POST", headers, body: JSON.stringify(ask) });
    const { id } = (await made.json()) as { id: string };
    const before = await onDisk();
    const part = (text: string) => send(key, `/v1/uploads/${id}/parts`, [file(text, "data")]);
    const told = await Promise.all(["one part", "two part", "3rd part"].map(part));
    expect(told.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
    expect((await onDisk()).length).toBe(before.length + 1);
  });
});
