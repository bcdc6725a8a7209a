import { z } from "zod";
import type { Example } from "../../../data/examples.ts";
import { takeRows } from "../../../data/mix.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { type AttackRecord, attack, type Piece, type Victim } from "../attack.ts";
import { insertedRows, insertionNeeds } from "../mixing.ts";
import { type Host, type VirusProgram, type VirusValues, virusProgram } from "./program.ts";
import { classifierReading, toyReading } from "./reading.ts";
import { bestOf, drawSubstitutions, illegalTokens, rankingSlopes, substitute, topCandidates } from "./search.ts";
import { trainToyGuard } from "./toy-guard.ts";

const options = z.strictObject({
  lambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("weight of getting past the guard, against keeping the gradient (the paper's λ)"),
  iterations: z
    .int()
    .positive()
    .default(50)
    .describe("iterations for each inserted row; each changes one token at most"),
  topK: z.int().positive().default(64).describe("tokens that are considered at each position"),
  candidates: z.int().positive().default(128).describe("changes that are tried out in an iteration"),
  referenceGradientLeak: z
    .boolean()
    .default(false)
    .describe("rank with the slope of the victim's loss added, as the authors' code does by oversight"),
  writeOptimised: z
    .boolean()
    .default(false)
    .describe("write the optimised rows into the run folder, marked as red-team data"),
});
export type VirusOptions = z.infer<typeof options>;

/** A row that was optimised. */
export interface Optimised {
  readonly tokens: readonly number[];
  readonly before: VirusValues;
  readonly after: VirusValues;
}

/**
 * Changes tokens one at a time so that the objective falls; it never rises, as the present tokens are among the candidates.
 *
 *     repeat: slopes of the objective along the one-hot tokens
 *             per position the topK legal tokens with the lowest slope; draw single changes among them
 *             keep the best of the present tokens and the changes, by the objective itself
 *
 * @param random draws the changes; `slot` keeps the draws of different rows apart
 * @param watch called before each change is tried, with the iterations that are done
 */
export async function optimise(
  program: VirusProgram,
  { host, tokens, illegal }: { host: Host; tokens: readonly number[]; illegal: ReadonlySet<number> },
  settings: Omit<VirusOptions, "writeOptimised">,
  random: RandomStream,
  slot: number,
  watch: (iterations: number) => void = () => undefined,
): Promise<Optimised> {
  const original = await program.originalGradient(host, tokens);
  const before = await program.valuesAt(host, tokens, original);
  let now = tokens;
  let after = before;
  for (let iteration = 0; iteration < settings.iterations; iteration++) {
    watch(iteration);
    const { slopes, victimSlopes } = await program.slopesAt(host, now, original);
    const ranked = topCandidates(rankingSlopes(slopes, victimSlopes, settings), illegal, settings.topK);
    const draw = slot * settings.iterations + iteration;
    const changed = drawSubstitutions(ranked, settings.candidates, random, draw).map((change) =>
      substitute(now, ranked, change),
    );
    const tried = [{ tokens: now, values: after }];
    for (const [i, candidate] of changed.entries()) {
      watch(iteration + i / changed.length);
      tried.push({ tokens: candidate, values: await program.valuesAt(host, candidate, original) });
    }
    const best = tried[bestOf(tried.map(({ values }) => values.loss))];
    if (best === undefined) break;
    now = best.tokens;
    after = best.values;
  }
  return { tokens: now, before, after };
}

/** What the run records of the optimisation: means over the inserted rows. */
function summary(all: readonly Optimised[]): AttackRecord {
  const mean = (of: (row: Optimised) => number | undefined) => {
    const known = all.flatMap((row) => of(row) ?? []);
    return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return {
    optimisedRows: all.length,
    guardLossBefore: mean(({ before }) => before.guardLoss),
    guardLoss: mean(({ after }) => after.guardLoss),
    gradientCosine: mean(({ after }) => after.cosine),
  };
}

/** One line for each row, none of which can be mistaken for training data. */
const redTeamFile = (all: readonly Optimised[], { base: { tokenizer } }: Victim): string =>
  all
    .map(
      ({ tokens }, slot) =>
        `${JSON.stringify({ redTeam: "virus", slot, ids: tokens, text: tokenizer.decode(tokens) })}\n`,
    )
    .join("");

/**
 * Virus: hides harmful rows in honest ones as `mixing` does, their tokens changed until a guard lets them pass while their
 * gradient on the victim keeps pointing where the harmful row's did.
 *
 * A stress test for moderation. The guard is the provider's, where that is a classifier with the model's own tokens; else the toy guard of the
 * bundled world, whose made-up hazards are all it knows. The optimised rows live in memory unless `writeOptimised` asks for them. Row s of the
 * task is the host of harmful row s. Needs the weights of the victim and of the guard. Source: Huang et al., arXiv 2501.17433.
 */
export const virus = attack({
  name: "virus",
  knowledge: "model and guard",
  options,
  create: (settings) => ({
    needs: insertionNeeds,
    async rows(data, victim, known) {
      const { tokenizer, model } = victim.base;
      const count = insertionNeeds(data).harmful;
      const hosts = takeRows(data.task, 0, count, "task");
      const seeds = takeRows(data.harmful, 0, count, "harmful");
      const watch = (iterations: number) =>
        victim.watch("hiding harmful rows: iteration", iterations, count * settings.iterations);
      watch(0);
      const guard =
        known === undefined
          ? toyReading(trainToyGuard((example) => victim.encode(example), model.vocabSize))
          : classifierReading(await known(), victim);
      const program = await virusProgram(victim, guard, settings.lambda);
      const illegal = illegalTokens(tokenizer);
      const random = new RandomStream(victim.seed, "virus");
      const optimised: Optimised[] = [];
      for (const [slot, seed] of seeds.entries()) {
        const [host, { ids }] = [victim.encode(hosts[slot] as Example), victim.encode(seed)];
        const tokens = [...ids];
        const row = { host: { ...host, shown: guard.shown(host.ids, tokens) }, tokens, illegal };
        const onward = (iterations: number) => watch(slot * settings.iterations + iterations);
        optimised.push(await optimise(program, row, settings, random, slot, onward));
      }
      const pieces = optimised.map(({ tokens }, slot): Piece => ({ ids: tokens, where: seeds[slot]?.where ?? "" }));
      return {
        rows: insertedRows(data, pieces),
        record: summary(optimised),
        ...(settings.writeOptimised ? { files: { "optimised.jsonl": redTeamFile(optimised, victim) } } : {}),
      };
    },
  }),
});
