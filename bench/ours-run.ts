/**
 * One training run in a process of its own, for what it really takes. Prints one line of JSON.
 *
 *     node dist/bench/ours-run.js '{"run": "scratch/run", "model": "assets/world", ...}'
 */
import { align } from "../src/stages/align.ts";
import { readCost } from "../src/stages/training-run.ts";
import { peakMemory } from "./memory.ts";

const options = JSON.parse(process.argv[2] ?? "{}");
await align(options);
const { secondsPerStep } = readCost(options.run);
console.log(JSON.stringify({ secondsPerStep, peakRssBytes: peakMemory() }));
