import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { scanner } from "../../test/scanner.ts";
import { MAX_ROW_BYTES } from "./rows.ts";

const { scan, remove } = scanner();
afterAll(remove);

describe("encodings and packing", () => {
  const utf16 = (text: string, isBig = false) => {
    const units = Buffer.from(text, "utf16le");
    return isBig ? units.swap16() : units;
  };

  test("UTF-16 in both orders, with a byte order mark and without", async () => {
    const text = "a,b\r\n\u{1f600} \u00e9,2\r\n";
    for (const content of [utf16(`\ufeff${text}`), utf16(`\ufeff${text}`, true), utf16(text), utf16(text, true)]) {
      const { rows, file } = await scan("u.csv", content);
      expect(rows).toEqual([[2, { a: "\u{1f600} \u00e9", b: "2" }]]);
      expect(file.notes).toEqual([expect.stringMatching(/^utf-16[lb]e$/)]);
    }
    await expect(scan("u.jsonl", Buffer.from("fffe00007b000000", "hex"))).rejects.toThrow(/UTF-32.*u\.jsonl/);
  });

  test("pieces of UTF-16 end anywhere", async () => {
    const text = `{"a":"${"\u{1f600}\u00e9".repeat(400_000)}"}\n`.slice(0);
    const lines = `${'{"a":"\u{1f600}\u00e9"}\n'.repeat(100_000)}`;
    expect((await scan("v.jsonl", utf16(`\ufeff ${lines}`))).rows.length).toBe(100_000);
    expect((await scan("w.jsonl", utf16(text))).faults).toEqual([[1, MAX_ROW_BYTES + 1, "ROW_TOO_LONG"]]);
  });

  test("half a pair and half a unit of UTF-16 are faults in their places", async () => {
    expect((await scan("x.csv", utf16("\ufeffa\n\u{1f600}\ud83d x\nok\n"))).faults).toEqual([[2, 2, "INVALID_UTF8"]]);
    expect((await scan("x.csv", Buffer.concat([utf16("\ufeffa\nok"), Buffer.of(0x41)]))).faults).toEqual([
      [2, 3, "INVALID_UTF8"],
    ]);
  });

  test("windows-1252 where it is said, and never where the file is UTF-8", async () => {
    const bytes = Buffer.from("a\ncaf\u00e9 \x80 \x93x\x94\n", "latin1");
    expect((await scan("y.csv", bytes)).faults).toEqual([[2, 4, "INVALID_UTF8"]]);
    const told = { encoding: "windows-1252" } as const;
    expect((await scan("y.csv", bytes, told)).rows).toEqual([[2, { a: "caf\u00e9 \u20ac \u201cx\u201d" }]]);
    expect((await scan("y.csv", Buffer.from("a\nx\x81", "latin1"), told)).faults).toEqual([[2, 2, "INVALID_UTF8"]]);
    await expect(scan("y.csv", "a\ncaf\u00e9\n", told)).rejects.toThrow(/is UTF-8, though/);
    expect((await scan("y.csv", Buffer.from("a\ncaf\u00e9", "latin1"), told)).rows).toEqual([[2, { a: "caf\u00e9" }]]);
    await expect(scan("y.csv", utf16("\ufeffa"), told)).rejects.toThrow(/expected windows-1252; found utf-16le/);
  });

  test("gzip is told by its content; faults keep their places in it; bombs and damage are errors", async () => {
    const packed = gzipSync('{"a":1}\n{"a":"\u{1f600}" 2}\n');
    for (const name of ["z.jsonl.gz", "z.jsonl"]) {
      const { rows, faults, file } = await scan(name, packed);
      expect([rows, faults, file.notes]).toEqual([[[1, { a: 1 }]], [[2, 10, "JSON_INVALID"]], ["gzip"]]);
      expect(file.sha256).toBe(createHash("sha256").update(packed).digest("hex"));
    }
    const both = Buffer.concat([gzipSync('{"a":1}\n'), gzipSync('{"a":2}\n')]);
    expect((await scan("z.jsonl.gz", both)).rows.length).toBe(2);
    await expect(scan("z.jsonl.gz", packed.subarray(0, -9))).rejects.toThrow(/damaged or cut off.*z\.jsonl\.gz/);
    const bomb = gzipSync("x".repeat(2 ** 26));
    await expect(scan("z.jsonl.gz", bomb)).rejects.toThrow(/unpacks to too much/);
  });
});
