import { align } from "../../src/stages/align.ts";
import { evaluate } from "../../src/stages/evaluate.ts";

/** Runs one stage, an alignment unless told, with the options in its argument: what the tests kill. */
const [, , options = "{}", stage] = process.argv;
await (stage === "evaluate" ? evaluate : align)(JSON.parse(options));
