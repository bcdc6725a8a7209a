/**
 * Adapters as this project writes them, with the logits that it computes: folders that `peft_adapters.py read` compares with PEFT.
 *
 * Run: npm run --silent build && node dist/scripts/oracle/written-adapters.js OUT MODEL ADAPTER...
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { writeAdapter } from "../../src/formats/peft.ts";
import { sumOf } from "../../src/models/adapter-sum.ts";
import type { LoraAdapter } from "../../src/models/adapters.ts";
import { createModel } from "../../src/models/index.ts";
import { loraScale, readLora } from "../../src/models/load.ts";
import { openSource } from "../../src/models/source.ts";
import { FixtureModel } from "../fixtures/model.ts";

const [out = "", path = "", ...folders] = process.argv.slice(2);
const model = createModel(openSource(path).base.config());
const adapters = folders.map((folder) => readLora({ model }, folder));
const [first, ...rest] = adapters;
const written: [string, LoraAdapter][] = adapters.map((adapter, i) => [`adapter-${i + 1}`, adapter]);
if (first !== undefined && rest.length > 0) written.push(["sum", sumOf([first, ...rest])]);

// Rows of different lengths, all of tokens that any vocabulary has.
const rows = [9, 13].map((length, row) => Array.from({ length }, (_, i) => (7 * i + 31 * row + 5) % 90));
const width = Math.max(...rows.map(({ length }) => length));
const padded = (values: readonly number[], filler: number) => [
  ...values,
  ...new Array(width - values.length).fill(filler),
];
const align = {
  input_ids: rows.map((ids) => padded(ids, 0)),
  labels: rows.map((ids) => padded(ids, -100)),
  attention_mask: rows.map((ids) =>
    padded(
      ids.map(() => 1),
      0,
    ),
  ),
};
for (const [name, { config, tensors }] of written) {
  const folder = join(out, name);
  mkdirSync(folder, { recursive: true });
  writeAdapter(join(folder, "adapter"), config, tensors, { baseModel: path });
  const fixture = await FixtureModel.open(path, () => ({ tensors, scale: loraScale(config) }));
  const value = [];
  for (const ids of rows)
    value.push((await fixture.logits(ids, { adapter: true })).map((logits) => Array.from(logits)));
  writeFileSync(
    join(folder, "expected.json"),
    JSON.stringify({ base: resolve(path), align, cases: { logits: { value } } }),
  );
}
