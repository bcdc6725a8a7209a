/**
 * llama.cpp through node-llama-cpp, greedy, one prompt after the other, with its cache in float32 where it can be.
 * Usage: node continue.js MODEL.gguf REQUEST.json, the request being { prompts: ids[][], newTokens, lora?: path }.
 * Prints one line of JSON: the new tokens of each prompt.
 */
import { readFileSync } from "node:fs";
import { getLlama } from "node-llama-cpp";

const [modelPath, requestFile] = process.argv.slice(2);
const { prompts, newTokens, lora } = JSON.parse(readFileSync(requestFile, "utf8"));
const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({
  contextSize: Math.max(...prompts.map((ids) => ids.length)) + newTokens + 8,
  flashAttention: false,
  threads: 1,
  experimentalKvCacheKeyType: "F32",
  experimentalKvCacheValueType: "F32",
  ...(lora === undefined ? {} : { lora: { adapters: [{ filePath: lora, scale: 1 }] } }),
});
const sequence = context.getSequence();
const continued = [];
for (const ids of prompts) {
  await sequence.clearHistory();
  const fresh = [];
  for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    fresh.push(token);
    if (fresh.length === newTokens) break;
  }
  continued.push(fresh);
}
console.log(JSON.stringify({ continued }));
await llama.dispose();
