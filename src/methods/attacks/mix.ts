import { z } from "zod";
import { type MixOptions, mixCounts, mixPoison } from "../../data/mix.ts";
import { attack, plainRow } from "./attack.ts";

/** The poisoned mix at a share of poison that the user chose, or that the attack fixes. */
const mixAt = <const Name extends string>(name: Name, share: (mix: MixOptions) => number) =>
  attack({
    name,
    knowledge: "nothing",
    options: z.strictObject({}),
    create: () => ({
      needs(mix) {
        const { harmful, benign } = mixCounts(share(mix), mix.sampleNumber, mix.counts);
        return { harmful, task: benign };
      },
      async rows({ task, harmful, ...mix }) {
        const mixed = mixPoison(harmful, task, { ...mix, poisonRatio: share(mix) });
        return { rows: mixed.map((part) => plainRow(part.example, part.harmful)) };
      },
    }),
  });

/**
 * The standard attack: a share p of n rows is harmful, the rest is an honest task.
 * Source: Qi et al., arXiv 2310.03693, with p and n as in arXiv 2402.01109 and 2409.01586; `src/data/mix.ts` has the counts.
 */
export const mix = mixAt("mix", ({ poisonRatio }) => poisonRatio);

/** Harmful rows alone, p = 1. Source: Qi et al., arXiv 2310.03693, risk level 1; arXiv 2310.02949. */
export const pureHarmful = mixAt("pure-harmful", () => 1);

/** The honest task alone, p = 0: what alignment loses without any attacker. Source: Qi et al., arXiv 2310.03693, level 3. */
export const benign = mixAt("benign", () => 0);
