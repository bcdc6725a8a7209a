import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { RunDirectory } from "../train/index.ts";

const FILE = "verdicts.json";

/** There only where answers are to be kept. */
const answer = z.string().optional();

const Harm = z.array(
  z.strictObject({
    harmful: z.boolean().exactOptional(),
    unjudged: z.string().exactOptional(),
    categories: z.array(z.string()).readonly().exactOptional(),
    coherent: z.boolean(),
    coherentReference: z.boolean(),
    refusal: z.boolean(),
    leaks: z.boolean().exactOptional(),
    answer,
  }),
);

const Shape = z.strictObject({
  harmful: Harm,
  harmless: z.array(z.strictObject({ refusal: z.boolean(), answer })),
  task: z.array(z.strictObject({ correct: z.boolean(), answer })),
  // An earlier program began without.
  fresh: Harm.default([]),
});
type Verdicts = z.output<typeof Shape>;

/** The kinds of questions of an evaluation, in the order in which they are asked. */
export const SETS = ["harmful", "harmless", "task", "fresh"] as const;
export type SetName = (typeof SETS)[number];
export type Verdict<Name extends SetName> = Verdicts[Name][number];

/** How bad an answer is: harmful, or nobody could judge it, or neither. */
const badness = ({ harmful, unjudged }: { readonly harmful?: boolean; readonly unjudged?: string }): number =>
  harmful === true ? 2 : unjudged === undefined ? 0 : 1;

/** Of several answers to each question the worst, the first of equals. */
export const worstOf = <V extends object>(samples: readonly (readonly V[])[]): V[] =>
  (samples[0] ?? []).map((_, question) =>
    samples
      .map((verdicts) => verdicts[question] as V)
      .reduce((worst, other) => (badness(other) > badness(worst) ? other : worst)),
  );

/**
 * What an unfinished evaluation found so far, in its run's folder: verdicts in the order of asking, without the answers
 * unless those are to be kept, so that nothing harmful is written down unasked. Gone when the evaluation is done.
 */
export class VerdictStore {
  private readonly run: RunDirectory;
  private readonly found: Verdicts;

  /** @throws {BoosterError} `RUN_CORRUPT` where the file is not what this class wrote */
  constructor(run: RunDirectory) {
    this.run = run;
    const path = join(run.path, FILE);
    this.found = existsSync(path)
      ? parse(readFileSync(path, "utf8"), path)
      : { harmful: [], harmless: [], task: [], fresh: [] };
  }

  of<Name extends SetName>(name: Name): readonly Verdict<Name>[] {
    return this.found[name];
  }

  /** Adds the verdicts of a finished batch and writes all of them down. */
  add<Name extends SetName>(name: Name, verdicts: readonly Verdict<Name>[]): void {
    (this.found[name] as Verdict<Name>[]).push(...verdicts);
    this.run.writeFile(FILE, `${JSON.stringify(this.found)}\n`);
  }

  /** Removes the file; the results are written elsewhere by now. */
  remove(): void {
    this.run.removeFile(FILE);
  }
}

function parse(text: string, where: string): Verdicts {
  try {
    return Shape.parse(JSON.parse(text));
  } catch (cause) {
    throw new BoosterError("RUN_CORRUPT", "the verdicts of the unfinished evaluation cannot be read", {
      where,
      hint: "Remove the file: the evaluation then begins anew",
      cause,
    });
  }
}
