import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { RunDataEntry } from "../report/index.ts";

const Encoded = z.object({ usable: z.number(), unusable: z.number() });
const Aligned = z.record(z.string(), Encoded);
const Attacked = z.object({ mix: Encoded.extend({ harmfulRows: z.number(), tokenShare: z.number() }) });

const read = (run: string): unknown => JSON.parse(readFileSync(join(run, "data.json"), "utf8"));

/** What the rows of an alignment came to, all kinds of data together. Throws `ZodError` where data.json is no alignment's. */
export function alignmentData(run: string): RunDataEntry {
  const kinds = Object.values(Aligned.parse(read(run)));
  const sum = (name: keyof (typeof kinds)[number]) => kinds.reduce((total, kind) => total + kind[name], 0);
  return { rows: sum("usable"), leftOut: sum("unusable") };
}

/** What the mix of an attack came to. Throws `ZodError` where data.json is no attack's. */
export function attackData(run: string): RunDataEntry {
  const { usable, unusable, harmfulRows, tokenShare } = Attacked.parse(read(run)).mix;
  return { rows: usable, leftOut: unusable, harmfulRows, tokenShare };
}
