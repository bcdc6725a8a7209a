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
});
