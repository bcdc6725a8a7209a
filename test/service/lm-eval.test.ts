/** A4: `lm_eval --model local-completions`, unmodified and offline, finds the tokeniser by itself and measures what we measure. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { hiddenStates, packRows, rowsOf, rowTypes, weightsOf } from "../../src/models/index.ts";
import { loadModel } from "../../src/models/load.ts";
import { Device, typesOf } from "../../src/runtime/index.ts";
import { startServing } from "../../src/service/engine/serving.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { compileProgram } from "../crash/compile.ts";
import { WORLD } from "./engine/world.ts";
import { startTestServer, type TestServer } from "./server.ts";

const PEER = join(import.meta.dirname, "../peers/.venv/bin/lm_eval");
const isThere = existsSync(PEER);
if (!isThere) console.log("skipped: lm_eval is absent; test/peers/setup.sh brings it");
const ITEMS = Number(process.env.BOOSTER_LM_EVAL ?? 25);
const BASE = "world-booster";

interface Item {
  readonly query: string;
  readonly choices: readonly string[];
  readonly gold: number;
}

const Sample = z.object({
  doc_id: z.int(),
  filtered_resps: z.array(z.tuple([z.coerce.number(), z.union([z.boolean(), z.string()])])),
  acc: z.number(),
});

const scratch = mkdtempSync(join(tmpdir(), "booster-lm-eval-"));
let server: TestServer | undefined;
let engine: ServingEngine | undefined;
let program: ReturnType<typeof compileProgram> | undefined;
beforeAll(async () => {
  if (!isThere) return;
  program = compileProgram("src/service/engine/child.ts");
  const serving = startServing({ folderOf: async () => WORLD, version: "test", module: program.path, threads: 1 });
  engine = serving;
  server = await startTestServer({ more: (service) => inferenceRoutes({ service, engine: serving }) });
});
afterAll(async () => {
  await engine?.close();
  await server?.stop();
  rmSync(scratch, { recursive: true });
});

/** Log-probability of each choice behind its query in float64, and whether each of its tokens is the likeliest. */
async function expectedOf(items: readonly Item[]) {
  const { model, weights, device, tokenizer } = await loadModel(WORLD, new Device({ threads: 1 }));
  const whole = await device.compile({ base: typesOf(weights), rows: rowTypes("b") }, (given) => {
    const all = weightsOf(model, given.base);
    return { logits: all.logits(hiddenStates(model, all, rowsOf(given.rows))) };
  });
  const width = model.vocabSize;
  const results: { readonly sum: number; readonly greedy: boolean; readonly margin: number }[][] = [];
  for (const { query, choices } of items) {
    const told = [];
    for (const choice of choices) {
      const start = tokenizer.encode(query).length;
      const ids = tokenizer.encode(`${query} ${choice}`);
      const { logits } = await whole.run({ base: weights, rows: packRows([{ ids, asked: [] }]) });
      let [sum, greedy, margin] = [0, true, Number.POSITIVE_INFINITY];
      for (let at = start; at < ids.length; at++) {
        const row = (logits.data as Float32Array).subarray((at - 1) * width, at * width);
        const [first = 0, second = 0] = Array.from(row).sort((a, b) => b - a);
        const total = row.reduce((all, x) => all + Math.exp(x - first), 0);
        const own = row[ids[at]!]!;
        sum += own - first - Math.log(total);
        greedy &&= own === first;
        margin = Math.min(margin, first - second);
      }
      told.push({ sum, greedy, margin });
    }
    results.push(told);
  }
  return results;
}

test.skipIf(!isThere)(
  `${ITEMS} items of four choices: the same log-probabilities, greedy flags and accuracy`,
  async () => {
    const vocabulary = Object.keys(
      (JSON.parse(readFileSync(join(WORLD, "tokenizer.json"), "utf8")) as { model: { vocab: object } }).model.vocab,
    ).filter((word) => /^[a-z]+$/.test(word));
    const random = new RandomStream(7, "lm-eval");
    let at = 0;
    const words = (count: number) =>
      Array.from({ length: count }, () => vocabulary[random.integer(at++, vocabulary.length)]).join(" ");
    const items: Item[] = Array.from({ length: ITEMS }, () => ({
      query: `Q: ${words(2 + random.integer(at++, 6))} A:`,
      choices: Array.from({ length: 4 }, () => words(1 + random.integer(at++, 4))),
      gold: random.integer(at++, 4),
    }));
    writeFileSync(join(scratch, "items.jsonl"), items.map((item) => JSON.stringify(item)).join("\n"));
    const task = {
      task: "world",
      dataset_path: "json",
      dataset_kwargs: { data_files: { test: join(scratch, "items.jsonl") } },
      test_split: "test",
      output_type: "multiple_choice",
      doc_to_text: "{{query}}",
      doc_to_choice: "choices",
      doc_to_target: "gold",
      target_delimiter: " ",
      metric_list: [{ metric: "acc" }],
    };
    writeFileSync(join(scratch, "world.yaml"), JSON.stringify(task));
    const { url, key } = server!;
    const model = `model=${BASE},base_url=${url}/v1/completions,auth_token=${key},num_concurrent=4,max_length=64`;
    const out = join(scratch, "out");
    const args = ["--model", "local-completions", "--model_args", model, "--tasks", "world", "--include_path", scratch];
    await promisify(execFile)(PEER, [...args, "--output_path", out, "--log_samples"], {
      cwd: scratch,
      env: { ...process.env, OPENAI_API_KEY: key, HF_HUB_OFFLINE: "1", HF_DATASETS_CACHE: join(scratch, "cache") },
    });
    const file = readdirSync(out, { recursive: true, encoding: "utf8" }).find((name) => name.includes("samples_world"));
    const samples = readFileSync(join(out, file!), "utf8")
      .trim()
      .split("\n")
      .map((line) => Sample.parse(JSON.parse(line)));
    expect(samples).toHaveLength(ITEMS);
    const expected = await expectedOf(items);
    for (const { doc_id: doc, filtered_resps: found, acc } of samples) {
      const choices = expected[doc]!;
      for (const [i, [sum, greedy]] of found.entries()) {
        const { sum: own, greedy: isGreedy, margin } = choices[i]!;
        expect(Math.abs(sum - own)).toBeLessThanOrEqual(1e-4);
        // Closer than rounding, either is right.
        if (margin > 1e-4) expect(String(greedy).toLowerCase()).toBe(String(isGreedy));
      }
      const best = choices.map(({ sum }) => sum);
      expect(acc).toBe(best.indexOf(Math.max(...best)) === items[doc]!.gold ? 1 : 0);
    }
  },
  1_200_000,
);
