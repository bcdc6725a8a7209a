import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { checkFile } from "./check-file.ts";

const chat = (...messages: object[]) => ({ messages });
const user = { role: "user", content: "a question" };
const assistant = { role: "assistant", content: "an answer" };
const good = Array.from({ length: 10 }, () => chat(user, assistant));
const lines = (rows: readonly (object | string)[]) =>
  rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join("");
/** In pieces of seven bytes, as no network would be so unkind. */
const check = (content: string | Uint8Array, size = 7) => {
  const bytes = Buffer.from(content);
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
  return checkFile(Readable.from(pieces));
};
const codesOf = async (...rows: (object | string)[]) =>
  (await check(lines([...good, ...rows]))).faults.map(({ line, code }) => `${line} ${code}`);

describe("a file for fine-tuning", () => {
  test("is counted while it comes in, packed or not", async () => {
    const expected = { rows: 10, faults: [], faultCount: 0 };
    expect(await check(lines(good))).toEqual(expected);
    expect(await check(gzipSync(lines(good)))).toEqual(expected);
    expect(await check(lines(Array.from({ length: 10 }, () => ({ prompt: "a", completion: "b" }))))).toEqual(expected);
  });

  test("needs ten rows", async () => {
    const faults = async (content: string) => (await check(content)).faults.map(({ code }) => code);
    expect(await faults(lines(good.slice(1)))).toEqual(["DATA_TOO_FEW_ROWS"]);
    expect(await faults("")).toEqual(["DATA_TOO_FEW_ROWS"]);
  });

  test("ends each conversation with an answer that is trained", async () => {
    const code = "11 LAST_TURN_NOT_TRAINED";
    expect(await codesOf(chat(user))).toEqual([code]);
    expect(await codesOf(chat(user, assistant, user))).toEqual([code]);
    expect(await codesOf(chat(user, { ...assistant, weight: 0 }))).toEqual([code]);
    expect(await codesOf({ prompt: "a", completion: "" })).toEqual([code]);
    expect(await codesOf(chat(user, { ...assistant, weight: 0 }, user, { ...assistant, weight: 1 }))).toEqual([]);
  });

  test("names what is not trained on by a code of its own", async () => {
    const image = { type: "image_url", image_url: { url: "https://example.org/a.png" } };
    expect(await codesOf({ ...chat(user, assistant), tools: [{ type: "function" }] })).toEqual([
      "11 UNSUPPORTED_TOOLS",
    ]);
    expect(await codesOf(chat(user, { role: "assistant", content: null, tool_calls: [{ id: "1" }] }))).toEqual([
      "11 UNSUPPORTED_TOOLS",
    ]);
    expect(await codesOf(chat({ role: "user", content: [image] }, assistant))).toEqual(["11 UNSUPPORTED_MEDIA"]);
    expect(await codesOf({ input: {}, preferred_output: [assistant], non_preferred_output: [assistant] })).toEqual([
      "11 UNSUPPORTED_PREFERENCE",
    ]);
    expect(await codesOf(chat({ role: "user", content: [{ type: "text", text: "a" }] }, assistant))).toEqual([]);
  });

  test("tells every fault by line and column, and none of its words", async () => {
    const check1 = await check(
      lines([
        ...good,
        '{"messages": secret}',
        "[]",
        { massages: [] },
        chat({ ...user, weight: 1 }, assistant),
        chat(user, { ...assistant, role: "asistant" }),
      ]),
    );
    expect(check1.faults.map(({ line, column, code }) => [line, column, code])).toEqual([
      [11, 14, "JSON_INVALID"],
      [12, 1, "ROW_NOT_OBJECT"],
      [13, 0, "COLUMN_MISSING"],
      [14, 0, "MESSAGES_INVALID"],
      [15, 0, "MESSAGE_ROLE_UNKNOWN"],
    ]);
    expect(JSON.stringify(check1)).not.toMatch(/secret|massages|asistant/);
  });

  test("is told of at most a hundred faults, and how many there are", async () => {
    const { faults, faultCount, rows } = await check(lines([...good, ...Array.from({ length: 150 }, () => "{}")]));
    expect([faults.length, faultCount, rows]).toEqual([100, 150, 10]);
  });

  test("is refused beyond 512 MB, which no stage of a job reads, and read to its end", async () => {
    const blank = Buffer.alloc(2 ** 20, " ");
    blank[blank.length - 1] = 10;
    let pieces = 0;
    async function* large() {
      yield Buffer.from(lines(good));
      for (; pieces < 514; pieces++) yield blank;
    }
    expect((await checkFile(large())).faults).toMatchObject([{ line: 0, code: "DATA_TOO_LARGE" }]);
    expect(pieces).toBe(514);
  });

  test("is known by its content, and is read to its end whatever it is", async () => {
    for (const [content, code] of [
      [`PAR1${"x".repeat(100)}`, "UNSUPPORTED_FILE"],
      [JSON.stringify(good), "JSON_ARRAY"],
      [gzipSync(lines(good)).subarray(0, 40), "GZIP_INVALID"],
    ] as const) {
      let read = 0;
      async function* counted() {
        const bytes = Buffer.from(content);
        for (let at = 0; at < bytes.length; at += 5) {
          read += Math.min(5, bytes.length - at);
          yield bytes.subarray(at, at + 5);
        }
      }
      expect((await checkFile(counted())).faults[0]?.code).toBe(code);
      expect(read).toBe(Buffer.from(content).length);
    }
  });
});
