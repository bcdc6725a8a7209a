import type { Tree } from "../../../autodiff/index.ts";
import { method } from "../../method.ts";
import { aggregate } from "./aggregate.ts";
import { type Context, collect, localStep, stateOf } from "./clients.ts";
import { type FeditOptions, options } from "./options.ts";
import { callsOf, stepsToRoundsEnd } from "./plan.ts";

/**
 * FedIT: federated fine-tuning, all clients simulated one after the other. Those whose rows are harmful are the attack.
 *
 *     each round:  perRound clients begin at the global weights, each with localSteps steps of SFT on its own rows
 *                  global weights <- aggregation of theirs
 *
 * A step of the run is a step of one client; the run goes on to the end of its last round. The user's rows are cut into as many
 * stretches as there are clients: `malicious-clients` uploads the harmful ones first, so that whole clients are malicious.
 * Factors of LoRA are averaged one by one, not their product, as in the reference. One client and one round is SFT.
 * One forward and one backward pass. Copies of the trained weights: the global ones and one a client of a round.
 * Source: Ye et al., arXiv 2406.10630; docs/methods/fedit.md compares it with the authors' code.
 *
 * @throws {BoosterError} `DATA_TOO_FEW_ROWS` where a client would have no row
 */
export const fedit = method({
  name: "fedit",
  label: "FedIT",
  stage: "finetune",
  streams: ["user"],
  options,
  limit: { clients: 1, perRound: 1, localSteps: 6, leastRate: 1 },
  trial: { clients: 4, perRound: 2, localSteps: 2, aggregation: "scaffold" },
  tried: ["fedavg", "median", "krum", "foolsgold"].map((aggregation) => ({
    aggregation: aggregation as FeditOptions["aggregation"],
  })),
  state: stateOf,
  create: (chosen) => ({
    passes: { forward: 1, backward: 1 },
    step: (context) => localStep(context, chosen),
    programs: {
      first: (context) => localStep({ ...context, weights: context.state.global as Tree }, chosen, true),
      aggregate: (context) => aggregate(context, chosen),
      ...Object.fromEntries(
        Array.from({ length: chosen.perRound }, (_, place) => [
          `collect${place}`,
          (context: Context) => collect(context, chosen, place),
        ]),
      ),
    },
    schedule: {
      inputs: () => ({
        rate: { dtype: "float32", shape: [] },
        first: { dtype: "float32", shape: [] },
        shares: { dtype: "float32", shape: [chosen.perRound] },
        client: { dtype: "float32", shape: [chosen.clients] },
      }),
      extraSteps: (facts) => stepsToRoundsEnd(facts, chosen),
      calls: (step, facts) => callsOf(step, facts, chosen),
    },
  }),
});
