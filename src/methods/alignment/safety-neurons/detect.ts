import { z } from "zod";
import { BoosterError } from "../../../errors.ts";
import { type Example, IGNORE, type Role } from "../../../models/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import type { Preparation } from "../../method.ts";
import { neuronModules, neuronScorer } from "./scorer.ts";
import { Neurons, type Rule, sharedRow, without } from "./selection.ts";

const count = (value: number) => z.int().positive().default(value);

/** Options of both methods. */
export const options = z.strictObject({
  mode: z
    .enum(["paper", "reference"])
    .default("paper")
    .describe("score a neuron by what zeroing it changes, or by the sums that the authors' code computes"),
  select: z
    .enum(["threshold", "top"])
    .default("threshold")
    .describe("important for a query: a score of at least epsilon, or among the highest of its matrix"),
  epsilon: z.number().min(0).default(1).describe("least score of an important neuron (the paper's ε)"),
  topAttention: count(2000).describe("important neurons of an attention matrix for one query, with select: top"),
  topFeedForward: count(12_000).describe("important neurons of a feed-forward matrix for one query, with select: top"),
  queries: count(200).describe("prompts, and general texts, that are looked at"),
  most: count(100).describe("neurons of a matrix that are trained at most, those with the highest lowest score"),
  sharedRows: z
    .enum(["head", "divide"])
    .default("head")
    .describe(
      "in mode reference, the key and value row of a query dimension: that of its head, or its place over the heads of a key",
    ),
  clipBeforeMask: z
    .boolean()
    .default(false)
    .describe("clip the gradient of all weights before the neurons are picked out, as the authors' code does"),
});

type Options = z.infer<typeof options>;

/** Places of the neurons to be trained, by module; in ascending order. */
export type NeuronPlaces = ReadonlyMap<string, readonly number[]>;

/** The tokens before the answer. */
function promptOf({ inputIds, labels }: Example): number[] {
  const ids = Array.from(inputIds);
  const start = ids.findIndex((_, t) => labels[t] !== IGNORE);
  return ids.slice(0, Math.max(1, start === -1 ? ids.length : start));
}

/**
 * The safety neurons of a model, those that matter for every harmful prompt, without the foundation neurons, which matter for every
 * general text; no text leaves all.
 *
 * @param preparation its stream `harmful` holds the harmful prompts (their answers are not read), `general` the text
 * @throws {BoosterError} `NEURONS_UNKNOWN`, `NEURONS_NOT_FOUND` when none is left, `STOPPED`
 */
export async function detectNeurons(
  preparation: Preparation,
  chosen: Options,
  foundation: boolean,
): Promise<NeuronPlaces> {
  const { device, model, frozen, adapter, rows, seed, watch } = preparation;
  const weights = { ...frozen, ...Object.fromEntries(adapter.tensors) };
  const modules = neuronModules(model);
  const roleOf = (module: string) => model.modules.get(module)?.role;
  const drawn = (stream: string, tokensOf: (example: Example) => ArrayLike<number>) => {
    const all = rows[stream] ?? [];
    const order = new RandomStream(seed, `safety-neurons/${stream}`).permutation(all.length);
    return Array.from(order.subarray(0, chosen.queries), (row) => tokensOf(all[row] as Example));
  };
  const prompts = drawn("harmful", promptOf);
  const texts = foundation ? drawn("general", ({ inputIds }) => inputIds) : [];
  let done = 0;
  const ahead = () => watch("looking for safety neurons: text", done, prompts.length + texts.length);
  ahead();
  const score = await neuronScorer({ device, model, weights }, chosen.mode);
  const important = async (queries: readonly ArrayLike<number>[]) => {
    const found = new Map(modules.map((module) => [module, new Neurons(ruleOf(roleOf(module), chosen))]));
    for (const query of queries) {
      ahead();
      const scores = await score(weights, query);
      done++;
      for (const [module, neurons] of found) neurons.see(scores.get(module) ?? []);
    }
    return found;
  };
  const safety = await important(prompts);
  const general = await important(texts);
  const places = new Map<string, readonly number[]>();
  for (const [module, neurons] of safety) {
    const own = without(neurons.places(), general.get(module)?.places() ?? []);
    const strongest = neurons.strongest(own, chosen.most);
    places.set(module, isShared(roleOf(module), chosen) ? rowsOf(strongest, preparation, chosen) : strongest);
  }
  if ([...places.values()].some((list) => list.length > 0)) return places;
  throw new BoosterError("NEURONS_NOT_FOUND", "no neuron is important for every harmful prompt", {
    found: describeRule(chosen),
    hint: "Lower epsilon, take more of the top, or look at fewer queries.",
  });
}

const ruleOf = (role: Role | undefined, { select, epsilon, topAttention, topFeedForward }: Options): Rule =>
  select === "threshold"
    ? { select, epsilon }
    : { select, count: role === "up" || role === "down" ? topFeedForward : topAttention };

const describeRule = ({ select, epsilon, topAttention, topFeedForward, queries }: Options): string =>
  select === "threshold"
    ? `a threshold of ${epsilon} over ${queries} queries`
    : `the top ${topAttention} (attention) and ${topFeedForward} (feed-forward) of ${queries} queries`;

/** Whether a module's scores stand in the space of the queries. */
const isShared = (role: Role | undefined, { mode }: Options): boolean =>
  mode === "reference" && (role === "key" || role === "value");

function rowsOf(places: readonly number[], { model }: Preparation, { sharedRows }: Options): number[] {
  const shape = { group: model.heads / model.kvHeads, width: model.headDim };
  return [...new Set(places.map((place) => sharedRow(place, shape, sharedRows)))].sort((a, b) => a - b);
}
