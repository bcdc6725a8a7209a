/**
 * One measurement of our own generation, in a process of its own: greedy, all prompts in one batch. Prints one line of JSON.
 *
 *     node dist/bench/ours-generation.js MODEL REQUEST.json [ACTIVATIONS [PROVIDER]]
 *     node dist/bench/ours-generation.js '{"layers": 2}' REQUEST.json      random weights of that shape
 */
import { readFileSync } from "node:fs";
import { Generator } from "../src/generate/index.ts";
import { loadModel } from "../src/models/load.ts";
import { Device, type Provider } from "../src/runtime/index.ts";
import type { GenerationRequest } from "./generation.ts";
import { peakMemory } from "./memory.ts";
import { denseWorkload, uploaded } from "./workloads.ts";

const [path = "", requestFile = "", activations, provider = "cpu"] = process.argv.slice(2);
const { prompts, newTokens, runs } = JSON.parse(readFileSync(requestFile, "utf8")) as GenerationRequest;
const device = new Device({ provider: provider as Provider });

async function random(shape: string) {
  const workload = denseWorkload(JSON.parse(shape));
  return { device, model: workload.model, weights: await uploaded(workload, device) };
}

const loaded = path.startsWith("{") ? await random(path) : await loadModel(path, device);
const generator = await Generator.create({
  ...loaded,
  activations: activations === "rounded" ? activations : "float32",
});
const seconds: number[] = [];
let first: readonly number[] = [];
for (let run = -1; run < runs; run++) {
  const start = performance.now();
  const answers = await generator.generate(prompts, { maxNewTokens: newTokens, batchSize: prompts.length });
  if (run >= 0) seconds.push((performance.now() - start) / 1000);
  first = answers[0]?.ids ?? [];
}
console.log(JSON.stringify({ seconds, first, peakRssBytes: peakMemory() }));
// The threads of a software driver would keep the process alive.
if (!device.onHost) process.exit(0);
