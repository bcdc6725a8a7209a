import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { scanner } from "../../test/scanner.ts";
import { exactJson } from "../formats/exact-json.ts";
import { MAX_FAULTS, MAX_JSON_DEPTH, MAX_ROW_BYTES, MAX_ROWS } from "./rows.ts";
import { expandPath, loadRows } from "./sources.ts";

const { scan, folder, remove } = scanner();
afterAll(remove);

describe("JSON Lines", () => {
  test("byte order mark, CRLF, blank lines, no newline at the end; hash of the bytes", async () => {
    const text = '\uFEFF{"a": "x"}\r\n\r\n{"a": "é"}';
    const { rows, faults, file } = await scan("a.jsonl", text);
    expect(rows).toEqual([
      [1, { a: "x" }],
      [3, { a: "é" }],
    ]);
    expect(faults).toEqual([]);
    expect(file.sha256).toBe(createHash("sha256").update(text).digest("hex"));
    expect(file).toMatchObject({ kind: "jsonl", rows: 2, bytes: Buffer.byteLength(text) });
  });

  test("every bad line is reported with line, column and code, the good ones are kept", async () => {
    const deep = (depth: number) => `{"a": ${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    const lines: (string | number[])[] = [
      '{"a": 1}',
      '{"a": 1',
      "[1]",
      '"text"',
      '{"a": 1, "a": 2}',
      '{"a": "\\ud800"}',
      '{"a": "\u0000"}',
      [0x7b, 0x22, 0xc3, 0x28, 0x22],
      deep(MAX_JSON_DEPTH + 1),
      deep(MAX_JSON_DEPTH),
      '{"a": "\\ud83d\\ude42"}',
    ];
    const content = Buffer.concat(lines.map((line) => Buffer.from([...Buffer.from(line as string), 0x0a])));
    const { rows, faults } = await scan("b.jsonl", content);
    expect(rows.map(([line]) => line)).toEqual([1, 10, 11]);
    expect(faults).toEqual([
      [2, 8, "JSON_INVALID"],
      [3, 1, "ROW_NOT_OBJECT"],
      [4, 1, "ROW_NOT_OBJECT"],
      [5, 10, "JSON_DUPLICATE_KEY"],
      [6, 8, "LONE_SURROGATE"],
      [7, 8, "JSON_INVALID"],
      [8, 3, "INVALID_UTF8"],
      [9, 6 + MAX_JSON_DEPTH, "JSON_TOO_DEEP"],
    ]);
  });

  test("a row at the size limit is read, one byte more is not", async () => {
    const filled = (bytes: number) => `{"a":"${"x".repeat(bytes - 8)}"}`;
    expect((await scan("c.jsonl", `${filled(MAX_ROW_BYTES)}\n${filled(MAX_ROW_BYTES + 1)}\n{}`)).faults).toEqual([
      [2, MAX_ROW_BYTES + 1, "ROW_TOO_LONG"],
    ]);
  });

  test("a JSON array under the wrong name is one fault", async () => {
    expect((await scan("d.jsonl", '[\n{"a": 1},\n{"a": 2}\n]')).faults).toEqual([[1, 1, "JSON_ARRAY"]]);
  });

  test("__proto__ is a key like any other", async () => {
    const { rows } = await scan("e.jsonl", '{"__proto__": {"polluted": true}, "a": 1}');
    expect(Object.keys(rows[0]?.[1] ?? {})).toEqual(["__proto__", "a"]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("faults are capped but counted, and the error does not quote the data", async () => {
    const { found } = await scan("f.jsonl", "secret\n".repeat(MAX_FAULTS + 50));
    expect(found.first).toHaveLength(MAX_FAULTS);
    expect(found.count).toBe(MAX_FAULTS + 50);
    expect(() => found.throwIfAny()).toThrow(/150 faults:\s.*f\.jsonl:1:1 JSON_INVALID[\s\S]*and 140 more/);
    expect(() => found.throwIfAny()).not.toThrow(/secret/);
  });

  test("damaged files give rows or faults, never anything else", async () => {
    const good = Buffer.from('{"prompt": "a\\n\\"b", "n": [1, {"c": null}]}\r\n{"prompt": "é🙂"}\n'.repeat(3));
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const bytes = Uint8Array.from(good);
        for (const [place, byte] of changes) bytes[place] = byte;
        const { rows, found } = await scan("g.jsonl", bytes);
        for (const fault of found.first) expect(fault.line * fault.column).toBeGreaterThan(0);
        const lines = good.toString("latin1").split("\n").length + changes.filter(([, byte]) => byte === 10).length;
        expect(rows.length + found.count).toBeLessThanOrEqual(lines);
        expect(rows.length + found.count).toBeGreaterThan(0);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});

describe("JSON", () => {
  test("an array over several lines, or on one", async () => {
    const text = '[\n  {"a": "[,]"},\n\n  {"a": {"b": [1, "\\"}"]}}\n]\n';
    expect((await scan("a.json", text)).rows).toEqual([
      [2, { a: "[,]" }],
      [4, { a: { b: [1, '"}'] } }],
    ]);
    expect((await scan("b.json", '[{"a":1},{"a":2}]')).rows.map(([, values]) => values)).toEqual([{ a: 1 }, { a: 2 }]);
    expect(await scan("c.json", "[ ]")).toMatchObject({ rows: [], faults: [] });
  });

  test.each([
    ['[{"a": 1},\n {"a": },\n {"a": 3}]', [[2, 8, "JSON_INVALID"]], 2],
    ['[{"a": 1},\n]', [[2, 1, "JSON_INVALID"]], 1],
    ['[{"a": 1}', [[1, 10, "JSON_INVALID"]], 1],
    ['[{"a": 1}] x', [[1, 12, "JSON_INVALID"]], 1],
    ['{"a": 1}\n{"a": 2}', [], 2],
    ['{"a": 1}\n{"a": }\n{"a": 2}', [[2, 7, "JSON_INVALID"]], 2],
    ['{\n "a": 1\n}', [[1, 1, "JSON_NOT_ARRAY"]], 0],
    ['{"n": 1, "data": [{"a": 1}, {"a": [2]}], "m": {}}', [], 2],
    ['{"data": [{"a": 1}, {"a": }], "m": 1}', [[1, 27, "JSON_INVALID"]], 1],
    ['{"data": [{"a": 1}]} {"a": 1}', [[1, 22, "JSON_INVALID"]], 0],
    ['{"data": [{"a": 1}], "train": [{"a": 1}]}', [[1, 1, "JSON_NOT_ARRAY"]], 0],
    [
      '["\u{1f600}", {"\u{1f600}": }]',
      [
        [1, 2, "ROW_NOT_OBJECT"],
        [1, 13, "JSON_INVALID"],
      ],
      0,
    ],
    ["", [[1, 1, "JSON_NOT_ARRAY"]], 0],
    ["[1]", [[1, 2, "ROW_NOT_OBJECT"]], 0],
    // What lacks its brace or quote is one fault; the lines behind it are read.
    [
      '[\n {"a": 1,\n {"a": 2},\n {"a": "x},\n {"a": 3},\n {"a": }\n]',
      [
        [3, 2, "JSON_INVALID"],
        [4, 12, "JSON_INVALID"],
        [6, 8, "JSON_INVALID"],
      ],
      2,
    ],
  ])("%j has the faults %j", async (text, faults, good) => {
    const result = await scan("d.json", text);
    expect(result.faults).toEqual(faults);
    expect(result.rows).toHaveLength(good);
  });
});

describe("parquet", () => {
  // Columns sentence (text) and label (64-bit integer), three rows in groups of two, Snappy.
  const film =
    "UEFSMRUGFTYVOlwVBBUAFQQVABUEFQAAAAMDGWAJAAAAZ29vZCBmaWxtCAAAAGJhZCBmaWxtFQYVJBUoXBUEFQAVBBUAFQQVAAAAAwMQPAEAAAAAAAAAAAAAAAAAAAAVBhUWFRpcFQIVABUCFQAVBBUAAAADAQkgBQAAAHNvIHNvFQYVFBUYXBUCFQAVAhUAFQQVAAAAAwEIHAEAAAAAAAAAFQQZPEgEcm9vdBUEABUMJQIYCHNlbnRlbmNlJQAAFQQlAhgFbGFiZWwAFgYZLBksJggcFQwZFQAZGAhzZW50ZW5jZRUCFgQWYBZkJgg8NgAoCWdvb2QgZmlsbRgIYmFkIGZpbG0AGRwVBhUAFQIAAAAmbBwVBBkVABkYBWxhYmVsFQIWBBZOFlImbDw2ACgIAQAAAAAAAAAYCAAAAAAAAAAAABkcFQYVABUCAAAAFq4BFgQ2tgEAGSwmvgEcFQwZFQAZGAhzZW50ZW5jZRUCFgIWQBZEJr4BPDYAKAVzbyBzbxgFc28gc28AGRwVBhUAFQIAAAAmggIcFQQZFQAZGAVsYWJlbBUCFgIWPhZCJoICPDYAKAgBAAAAAAAAABgIAQAAAAAAAAAAGRwVBhUAFQIAAAAWfhYCNoYBACgJaHlwYXJxdWV0GSwcAAAcAAAAUAEAAFBBUjE=";

  test("row groups, whole numbers", async () => {
    expect((await scan("a.parquet", Buffer.from(film, "base64"))).rows).toEqual([
      [1, { sentence: "good film", label: 1 }],
      [2, { sentence: "bad film", label: 0 }],
      [3, { sentence: "so so", label: 1 }],
    ]);
  });

  test("whole numbers within messages, such as their weights", async () => {
    // What pyarrow writes of messages with role, content and weight (64-bit integer, null or 0).
    const weights =
      "UEFSMRUAFUIVQiwVBBUAFQYVBhwAAAACAAAAAwICAAAABAQEAAAAdXNlcgkAAABhc3Npc3RhbnQVABUsFSwsFQQVABUGFQYcAAAAAgAAAAMCAgAAAAQEAQAAAHEBAAAAYRUAFSwVLCwVBBUAFQYVBhwAAAACAAAAAwIEAAAAAyMAAAAAAAAAAAAAFQQZfDUAGAZzY2hlbWEVAgA1AhgIbWVzc2FnZXMVAhUGTDwAAAA1BBgEbGlzdBUCADUCGAdlbGVtZW50FQYAFQwlAhgEcm9sZSUATBwAAAAVDCUCGAdjb250ZW50JQBMHAAAABUEJQIYBndlaWdodAAWAhkcGTwmABwVDBklBgAZSAhtZXNzYWdlcwRsaXN0B2VsZW1lbnQEcm9sZRUAFgQWaBZoJghJHBUAFQAVAgA8FhoZJgICGVYAAAAABAAAACYAHBUMGSUGABlICG1lc3NhZ2VzBGxpc3QHZWxlbWVudAdjb250ZW50FQAWBBZSFlImcEkcFQAVABUCADwWBBkmAgIZVgAAAAAEAAAAJgAcFQQZJQYAGUgIbWVzc2FnZXMEbGlzdAdlbGVtZW50BndlaWdodBUAFgQWUhZSJsIBSRwVABUAFQIAPCkmAgIZVgAAAAICAAAAFowCFgImCBaMAgAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGTwcAAAcAAAcAAAAkgEAAFBBUjE=";
    expect((await scan("w.parquet", Buffer.from(weights, "base64"))).rows[0]?.[1]).toEqual({
      messages: [
        { role: "user", content: "q", weight: null },
        { role: "assistant", content: "a", weight: 0 },
      ],
    });
  });

  test("within lists and structures floats stay floats, large integers exact, and keys in their order", async () => {
    // What pyarrow writes of a call with arguments b (double), 2020 (64-bit integer), 10 (float), and of a weight, a double.
    const nested =
      "UEFSMRUEFSoVLkwVBBUAEgAAFVAEAAAAdXNlcgkAAABhc3Npc3RhbnQVABUeFSIsFQQVEBUGFQYcAAAADzgCAAAAAwICAAAABAQBAwIVBBUUFRhMFQQVABIAAAokAQAAAHEBAAAAYRUAFR4VIiwVBBUQFQYVBhwAAAAPOAIAAAADAgIAAAAEBAEDAhUEFRAVFEwVAhUAEgAACBwAAAAAAAAAABUAFSIVJiwVBBUQFQYVBhwAAAARQAIAAAADAgQAAAADIwAAAQIAFQQVChUOTBUCFQASAAAFEAEAAABmFQAVJBUoLBUEFRAVBhUGHAAAABJEAwAAAAMEAAQAAAADOwAAAQIAFQQVEBUUTBUCFQASAAAIHAAAAAAAACRAFQAVJhUqLBUEFRAVBhUGHAAAABNIAwAAAAMEAAUAAAADgwAAAAECABUEFRAVFEwVAhUAEgAACBwBAAAAAAAgABUAFSYVKiwVBBUQFQYVBhwAAAATSAMAAAADBAAFAAAAA4MAAAABAgAVBBUIFQxMFQIVABIAAAQMAAAAQBUAFSYVKiwVBBUQFQYVBhwAAAATSAMAAAADBAAFAAAAA4MAAAABAgAVBBUQFRRMFQIVABIAAAgcAAAAAAAA8D8VABUSFRYsFQIVEBUGFQYcAAAACSACAAAAAgEBAgAVBBUKFQ5MFQIVABIAAAUQAQAAAGsVABUeFSIsFQIVEBUGFQYcAAAADzgCAAAAAgACAAAAAgIBAgAVBBUQFRRMFQIVABIAAAgcAAAAAAAA8D8VABUeFSIsFQIVEBUGFQYcAAAADzgCAAAAAgACAAAAAgMBAgAVBBUgFSRMFQQVABIAABA8AAAAAAAA8D8AAAAAAAAEQBUAFSAVJCwVBBUQFQYVBhwAAAAQPAMAAAADBAACAAAABAUBAwIVBBn8GTUAGAZzY2hlbWEVCAA1AhgIbWVzc2FnZXMVAhUGTDwAAAA1BBgEbGlzdBUCADUCGAdlbGVtZW50FQgAFQwlAhgEcm9sZSUATBwAAAAVDCUCGAdjb250ZW50JQBMHAAAABUKJQIYBndlaWdodAA1AhgFY2FsbHMVAhUGTDwAAAA1BBgEbGlzdBUCADUCGAdlbGVtZW50FQQAFQwlAhgEbmFtZSUATBwAAAA1AhgJYXJndW1lbnRzFQYAFQolAhgBYgAVBCUCGAQyMDIwABUIJQIYAjEwABUKJQIYBXNjb3JlADUCGAFtFQIVAkwsAAAANQQYCWtleV92YWx1ZRUEABUMJQAYA2tleSUATBwAAAAVCiUCGAV2YWx1ZQA1AhgBbBUCFQZMPAAAADUEGARsaXN0FQIANQIYB2VsZW1lbnQVAhUGTDwAAAA1BBgEbGlzdBUCABUKJQIYB2VsZW1lbnQAFgIZHBm8JgAcFQwZNQAGEBlICG1lc3NhZ2VzBGxpc3QHZWxlbWVudARyb2xlFQIWBBaKARaSASZSJggpLBUEFQAVAgAVABUQFQIAPBYaGSYCAhlWAAAAAAQAAAAmABwVDBk1AAYQGUgIbWVzc2FnZXMEbGlzdAdlbGVtZW50B2NvbnRlbnQVAhYEFnQWfCbOASaaASksFQQVABUCABUAFRAVAgA8FgQZJgICGVYAAAAABAAAACYAHBUKGTUABhAZSAhtZXNzYWdlcwRsaXN0B2VsZW1lbnQGd2VpZ2h0FQIWBBZ0FnwmxgImlgIpLBUEFQAVAgAVABUQFQIAPCkmAgIZVgAAAAICAAAAJgAcFQwZNQAGEBl4CG1lc3NhZ2VzBGxpc3QHZWxlbWVudAVjYWxscwRsaXN0B2VsZW1lbnQEbmFtZRUCFgQWcBZ4JrwDJpIDKSwVBBUAFQIAFQAVEBUCADwWAhk2AgIAGYYAAAACAAAAAgAAACYAHBUKGTUABhAZiAhtZXNzYWdlcwRsaXN0B2VsZW1lbnQFY2FsbHMEbGlzdAdlbGVtZW50CWFyZ3VtZW50cwFiFQIWBBZ4FoABJroEJooEKSwVBBUAFQIAFQAVEBUCADwpNgICABmWAAAAAgAAAAACAAAAJgAcFQQZNQAGEBmICG1lc3NhZ2VzBGxpc3QHZWxlbWVudAVjYWxscwRsaXN0B2VsZW1lbnQJYXJndW1lbnRzBDIwMjAVAhYEFngWgAEmugUmigUpLBUEFQAVAgAVABUQFQIAPCk2AgIAGZYAAAACAAAAAAIAAAAmABwVCBk1AAYQGYgIbWVzc2FnZXMEbGlzdAdlbGVtZW50BWNhbGxzBGxpc3QHZWxlbWVudAlhcmd1bWVudHMCMTAVAhYEFnAWeCayBiaKBiksFQQVABUCABUAFRAVAgA8KTYCAgAZlgAAAAIAAAAAAgAAACYAHBUKGTUABhAZGAVzY29yZRUCFgIWZBZsJrIHJoIHKSwVBBUAFQIAFQAVEBUCADwpBhkmAAIAAAAmABwVDBk1AAYQGTgBbQlrZXlfdmFsdWUDa2V5FQIWAhZqFnImmAgm7gcpLBUEFQAVAgAVABUQFQIAPBYCGSYCABk2AAACAAAAJgAcFQoZNQAGEBk4AW0Ja2V5X3ZhbHVlBXZhbHVlFQIWAhZwFngmkAkm4AgpLBUEFQAVAgAVABUQFQIAPCkmAgAZRgAAAAIAAAAmABwVChk1AAYQGVgBbARsaXN0B2VsZW1lbnQEbGlzdAdlbGVtZW50FQIWBBaCARaKASaYCibYCSksFQQVABUCABUAFRAVAgA8KTYCAgAZZgAAAAAABAAAABaCChYCJggW2goAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRm8HAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAALQFAABQQVIx";
    const [row] = (await scan("n.parquet", Buffer.from(nested, "base64"))).rows;
    expect(exactJson(row?.[1])).toBe(
      '{"messages":[{"role":"user","content":"q","weight":null,"calls":null},{"role":"assistant","content":"a","weight":0.0,' +
        '"calls":[{"name":"f","arguments":{"b":10.0,"2020":9007199254740993,"10":2.0}}]}],"score":1,"m":{"k":1.0},"l":[[1.0],[2.5]]}',
    );
  });

  test("a bomb is refused before it is unpacked", async () => {
    // One cell of 3 000 000 letters in a Brotli page of 26 bytes.
    const bomb =
      "UEFSMRUGFYyb7gIVNFwVAhUAFQIVABUEFQAAAAMBm8PGLfiNlKvxZt0SBmwsAOK1QCDPt6URFQQZLEgEcm9vdBUCABUMJQIYBHRleHQlAAAWAhkcGRwmCBwVDBkVABkYBHRleHQVCBYCFryb7gIWZCYIAAAWvJvuAhYCNmQAKAloeXBhcnF1ZXQZHBwAAABZAAAAUEFSMQ==";
    await expect(scan("bomb.parquet", Buffer.from(bomb, "base64"))).rejects.toThrow(
      /at most 200:1; found 3000004 bytes/,
    );
  });

  test("damage is a fault, never a crash", async () => {
    expect((await scan("b.parquet", "PAR1 no")).faults).toEqual([[1, 0, "PARQUET_INVALID"]]);
    const bytes = Buffer.from(film, "base64");
    for (let cut = 0; cut < bytes.length; cut += 7) {
      const { rows, found } = await scan("c.parquet", bytes.subarray(0, cut));
      expect([rows.length, found.count]).toEqual([0, 1]);
    }
    // The pages of the first group are overwritten: the second one is read.
    const spoilt = await scan("d.parquet", Buffer.concat([bytes.subarray(0, 4), Buffer.alloc(40), bytes.subarray(44)]));
    expect(spoilt.faults).toEqual([[1, 0, "PARQUET_INVALID"]]);
    expect(spoilt.rows.map(([line]) => line)).toEqual([3]);
  });
});

describe("files", () => {
  test("several files by pattern, in order of their names", async () => {
    for (const name of ["p-2.jsonl", "p-1.jsonl"]) writeFileSync(join(folder, name), `{"n": "${name}"}\n{"n": 2}\n`);
    const { rows, files } = await loadRows(join(folder, "p-*.jsonl"));
    expect(rows.map(({ values }) => values)).toEqual([{ n: "p-1.jsonl" }, { n: 2 }, { n: "p-2.jsonl" }, { n: 2 }]);
    expect(files.map(({ rows: count }) => count)).toEqual([2, 2]);
    writeFileSync(join(folder, "p-3.jsonl"), "{\n");
    writeFileSync(join(folder, "p-4.jsonl"), '{"n": 1}\n[]\n');
    const { faults } = await loadRows(join(folder, "p-*.jsonl"));
    expect(() => faults.throwIfAny()).toThrow(
      /2 faults:\s+\S+p-3\.jsonl:1:2 JSON_INVALID.*\s+\S+p-4\.jsonl:2:1 ROW_NOT_OBJECT/,
    );
    expect(() => expandPath(join(folder, "nothing-*"))).toThrow(/no data file matches/);
  });

  test("a file may have as many rows as the limit, and no more", async () => {
    const count = (rows: number) => scan("rows.tsv", `a\n${"x\n".repeat(rows)}`);
    expect((await count(MAX_ROWS)).file.rows).toBe(MAX_ROWS);
    await expect(count(MAX_ROWS + 1)).rejects.toThrow(/too many rows/);
  });

  test("missing files and unknown names are errors", async () => {
    await expect(loadRows(join(folder, "none.jsonl"))).rejects.toThrow(/no such data file/);
    writeFileSync(join(folder, "a.txt"), "{}");
    await expect(loadRows(join(folder, "a.txt"))).rejects.toThrow(/\.jsonl.*found \.txt/);
    expect((await loadRows(join(folder, "a.txt"), { kind: "jsonl" })).rows).toHaveLength(1);
  });
});
