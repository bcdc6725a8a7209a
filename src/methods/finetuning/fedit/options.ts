import { z } from "zod";
import { ROBUST } from "./robust.ts";
import { ADAPTIVE } from "./server.ts";

const AGGREGATIONS = [
  "fedavg",
  "fedavgm",
  ...ADAPTIVE,
  "fedprox",
  "scaffold",
  ...(Object.keys(ROBUST) as (keyof typeof ROBUST)[]),
] as const;

const count = z.int().positive();
/** Options of `fedit`. */
export const options = z.strictObject({
  clients: count.default(10).describe("clients, among whom the user's rows are shared out in their order"),
  perRound: count.default(3).describe("clients of a round, drawn anew"),
  localSteps: count.default(10).describe("steps of a client in a round, with an optimiser of its own"),
  aggregation: z.enum(AGGREGATIONS).default("fedavg").describe("what the server makes of the clients' weights"),
  maliciousShare: z
    .number()
    .min(0)
    .lt(1)
    .default(0.3)
    .describe("share of malicious clients that Krum and DnC reckon with, rounded to whole clients of a round"),
  leastRate: z
    .number()
    .min(0)
    .max(1)
    .default(0.02)
    .describe("learning rate of the last round as a share of the first one's, half a cosine between"),
  mu: z.number().min(0).default(0.01).describe("strength of FedProx's pull to the global weights (the paper's μ)"),
});
export type FeditOptions = z.infer<typeof options>;

export const isAdaptive = (name: string): name is (typeof ADAPTIVE)[number] =>
  (ADAPTIVE as readonly string[]).includes(name);
export const isRobust = (name: string): name is keyof typeof ROBUST => Object.hasOwn(ROBUST, name);
