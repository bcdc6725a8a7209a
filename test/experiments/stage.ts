import { align } from "../../src/experiments/align.ts";

/** Runs one alignment with the options in its argument: what the tests kill. */
await align(JSON.parse(process.argv[2] ?? "{}"));
