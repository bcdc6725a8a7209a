/**
 * What a training run is said to take, in a process of its own as `booster estimate` is. Prints one line of JSON.
 *
 *     node dist/bench/ours-estimate.js '{"run": "scratch/run", "model": "assets/world", ...}'
 */
import { estimate } from "../src/stages/estimate.ts";

const { bytes, seconds, steps } = await estimate("align", JSON.parse(process.argv[2] ?? "{}"));
console.log(JSON.stringify({ secondsPerStep: seconds / steps, peakRssBytes: bytes }));
