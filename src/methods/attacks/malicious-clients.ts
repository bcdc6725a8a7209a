import { z } from "zod";
import { mixCounts, mixPoison, shuffled } from "../../data/mix.ts";
import { attack, plainRow } from "./attack.ts";

/**
 * Malicious clients of a federated fine-tuning: the harmful rows come first and all together, whatever the run's order, so that the
 * first clients of `fedit` hold them alone, and the honest ones none. Each part is shuffled by itself.
 *
 * Three of ten malicious clients with 500 rows each are `poisonRatio` 0.3 of `sampleNumber` 5000. Source: Ye et al., arXiv 2406.10630.
 */
export const maliciousClients = attack({
  name: "malicious-clients",
  knowledge: "nothing",
  options: z.strictObject({}),
  create: () => ({
    needs(mix) {
      const { harmful, benign } = mixCounts(mix.poisonRatio, mix.sampleNumber, mix.counts);
      return { harmful, task: benign };
    },
    async rows({ task, harmful, shuffle, ...mix }) {
      const mixed = mixPoison(harmful, task, mix);
      const part = (of: boolean) =>
        shuffled(
          mixed.filter((row) => row.harmful === of),
          shuffle,
        );
      return { rows: [...part(true), ...part(false)].map((row) => plainRow(row.example, row.harmful)) };
    },
  }),
});
