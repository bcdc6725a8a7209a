import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadExamples } from "./load.ts";
import { SourceOptions } from "./options.ts";

const folder = mkdtempSync(join(tmpdir(), "load-"));
afterAll(() => rmSync(folder, { recursive: true }));
const load = (options: object) => loadExamples(SourceOptions.parse(options));

test("by format, by task, limited", async () => {
  const path = join(folder, "rows.txt");
  writeFileSync(path, '{"prompt": "p", "response": "r", "is_safe": true}\n{"prompt": "q", "response": "s"}\n');
  const found = await load({ path, kind: "jsonl" });
  expect([found.readAs, found.examples.length]).toEqual(["prompt-response", 2]);
  const task = await load({ path, kind: "jsonl", task: "beavertails" });
  expect([task.readAs, task.examples.length]).toEqual(["beavertails", 1]);
  const limited = await load({ path, kind: "jsonl", limit: 1 });
  expect(limited.examples.map(({ where }) => where)).toEqual([`${path}:1`]);
  expect(limited.files[0]?.rows).toBe(2);
  const placed = async (options: object) => (await load({ path, kind: "jsonl", ...options })).examples.length;
  expect([await placed({ rows: "2.." }), await placed({ rows: "..1" }), await placed({ rows: "1..2" })]).toEqual([
    1, 1, 2,
  ]);
  expect((await load({ path, kind: "jsonl", rows: "2..", limit: 5 })).examples[0]?.where).toBe(`${path}:2`);
  await expect(load({ path, kind: "jsonl", rows: "3.." })).rejects.toThrow(/rows 3\.\..*2 examples/s);
  for (const rows of ["..", "0..5", "5", "a..b"])
    await expect(async () => load({ path, rows })).rejects.toThrow(/5001/);
});
