/**
 * Peer: llama.cpp through node-llama-cpp as a server of several streams, greedy. llama.cpp has an adapter on a whole context, and its own server too puts only
 * requests of the same adapters in one batch: so each adapter has a context of its own, of as many sequences as it has streams, on one model.
 * Usage: node serve.js MODEL.gguf REQUEST.json, the request being { prompts: ids[][], newTokens, runs, adapters: path[] }; the streams take the adapters by turns.
 * Prints one line of JSON: tokens a second of each run after a warm-up, milliseconds to each stream's first token.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { getLlama } from "node-llama-cpp";

const [modelPath, requestFile] = process.argv.slice(2);
const { prompts, newTokens, runs, adapters } = JSON.parse(readFileSync(requestFile, "utf8"));
const threads = availableParallelism();
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const longest = Math.max(...prompts.map((ids) => ids.length));
const count = Math.max(1, Math.min(adapters.length, prompts.length));
const sequences = [];
for (let c = 0; c < count; c++) {
  const own = prompts.filter((_, i) => i % count === c).length;
  const context = await model.createContext({
    sequences: own,
    contextSize: longest + newTokens + 8,
    batchSize: own * longest,
    threads,
    ...(adapters.length === 0 ? {} : { lora: { adapters: [{ filePath: adapters[c], scale: 1 }] } }),
  });
  for (let s = 0; s < own; s++) sequences[s * count + c] = context.getSequence();
}

const [rates, firstMs] = [[], []];
for (let run = -1; run < runs; run++) {
  for (const sequence of sequences) await sequence.clearHistory();
  const start = performance.now();
  let tokens = 0;
  const answer = async (ids, sequence) => {
    let own = 0;
    for await (const _ of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      if (own === 0 && run >= 0) firstMs.push(performance.now() - start);
      tokens++;
      if (++own === newTokens) break;
    }
  };
  await Promise.all(prompts.map((ids, i) => answer(ids, sequences[i])));
  if (run >= 0) rates.push((1000 * tokens) / (performance.now() - start));
}
console.log(JSON.stringify({ rates, firstMs, version: llama.llamaCppRelease.release }));
await llama.dispose();
