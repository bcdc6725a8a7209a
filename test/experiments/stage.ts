import { align } from "../../src/experiments/align.ts";
import { evaluate } from "../../src/experiments/evaluate.ts";

/** Runs one stage, an alignment unless told, with the options in its argument: what the tests kill. */
const [, , options = "{}", stage] = process.argv;
await (stage === "evaluate" ? evaluate : align)(JSON.parse(options));
