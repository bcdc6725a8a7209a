import { test } from "vitest";
import { gguf } from "@huggingface/gguf";
import { loadTask, type TaskName } from "../src/data/tasks/table.ts";
import { encodeExample } from "../src/data/templates.ts";
import { disjointSets } from "../src/data/split.ts";
import { findDuplicates } from "../src/data/duplicates.ts";
import { questionOf } from "../src/data/examples.ts";
import { createTokenizer } from "../src/formats/tokenizer.ts";
import { ggufTokenizerFiles } from "../src/formats/gguf-tokenizer.ts";
const D = "../shared/data/";
const files: [TaskName, string][] = [["sst2","sst2_train.tsv"],["sst2","sst2_dev.tsv"],["agnews","agnews_subset_train.csv"],["agnews","agnews_subset_dev.csv"],["agnews","agnews_test.csv"],["gsm8k","gsm8k_train.jsonl"],["gsm8k","gsm8k_test.jsonl"],["alpaca-eval","alpaca_eval.json"],["beavertails","beavertails_subset.jsonl"],["safe-answers","safe_answers.json"],["safe-answers","alpaca_5000.json"]];
test("scratch", async () => {
  const { metadata } = await gguf("../shared/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf", { allowLocalFile: true });
  const tokenizer = createTokenizer(ggufTokenizerFiles({ ...metadata }));
  const all: Record<string, Awaited<ReturnType<typeof loadTask>>["examples"]> = {};
  for (const [name, f] of files) {
    const t0 = performance.now();
    const { examples, files } = await loadTask(name, D + f);
    all[f] = examples;
    const t1 = performance.now();
    const codes: Record<string, number> = {};
    for (const template of ["alpaca", "chat"] as const) for (const [i, e] of examples.entries()) { if (i % 10 || f.startsWith("sst") || f.startsWith("gsm")) continue;
      try { encodeExample(e, { tokenizer, template, maxTokens: 256, tooLong: "truncate" }); codes[template] = (codes[template] ?? 0) + 1; } catch (x) { const c = `${template} ${(x as {code: string}).code}`; codes[c] = (codes[c] ?? 0) + 1; }
    }
    const t2 = performance.now();
    const dups = findDuplicates(examples.map(questionOf));
    console.log(f, examples.length, files[0]?.rows, JSON.stringify(codes), "dups", dups.length, dups.filter(d=>d.similarity===1).length, "ms", t1-t0|0, t2-t1|0, performance.now()-t2|0);
  }
  const r = disjointSets({ test: all["agnews_test.csv"]!, train: all["agnews_subset_train.csv"]!, dev: all["agnews_subset_dev.csv"]! });
  console.log(r.train.removed.length, r.train.removed.filter(d=>d.similarity===1).length, r.dev.removed.length, r.dev.removed.map(x=>[x.where,x.duplicateOf,x.similarity]).slice(0,5));
  const r2 = disjointSets({ a: all["beavertails_subset.jsonl"]!, s: all["safe_answers.json"]! });
  console.log(r2.s.removed.length);
});
