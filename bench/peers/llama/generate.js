/**
 * Peer: llama.cpp through node-llama-cpp, greedy, every prompt its own sequence of one context, all of them at once.
 * Usage: node generate.js MODEL.gguf REQUEST.json, the request being { prompts: ids[][], newTokens, runs }.
 * Prints one line of JSON: seconds of each run after a warm-up, the first prompt's new tokens, peak memory.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { getLlama } from "node-llama-cpp";

const [modelPath, requestFile] = process.argv.slice(2);
const { prompts, newTokens, runs } = JSON.parse(readFileSync(requestFile, "utf8"));
const threads = availableParallelism();
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const longest = Math.max(...prompts.map((ids) => ids.length));
const context = await model.createContext({
  sequences: prompts.length,
  contextSize: longest + newTokens + 8,
  batchSize: prompts.length * longest,
  threads,
});
const sequences = prompts.map(() => context.getSequence());

async function answer(ids, sequence) {
  const fresh = [];
  for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    fresh.push(token);
    if (fresh.length === newTokens) break;
  }
  return fresh;
}

const seconds = [];
let first = [];
for (let run = -1; run < runs; run++) {
  for (const sequence of sequences) await sequence.clearHistory();
  const start = performance.now();
  const answers = await Promise.all(prompts.map((ids, i) => answer(ids, sequences[i])));
  if (run >= 0) seconds.push((performance.now() - start) / 1000);
  first = answers[0];
}
// Not resourceUsage: it would count what the process that started this one held.
const peakRssBytes = 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
console.log(JSON.stringify({ seconds, first, peakRssBytes, version: llama.llamaCppRelease.release }));
await llama.dispose();
