import { BoosterError, stopIfAsked } from "../../../errors.ts";
import { type Example, IGNORE, type Role } from "../../../models/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import type { Preparation } from "../../method.ts";
import { neuronModules, neuronScorer, type ScoreMode } from "./scorer.ts";
import { Neurons, type Rule, sharedRow, without } from "./selection.ts";

export interface DetectionOptions {
  readonly mode: ScoreMode;
  readonly select: Rule["select"];
  readonly epsilon: number;
  readonly topAttention: number;
  readonly topFeedForward: number;
  readonly queries: number;
  readonly most: number;
  readonly sharedRows: "head" | "divide";
}

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
  options: DetectionOptions,
  foundation: boolean,
): Promise<NeuronPlaces> {
  const { device, model, frozen, adapter, rows, seed, signal } = preparation;
  const weights = { ...frozen, ...Object.fromEntries(adapter.tensors) };
  const score = await neuronScorer({ device, model, weights: frozen }, options.mode);
  const modules = neuronModules(model);
  const roleOf = (module: string) => model.modules.get(module)?.role;
  const important = async (stream: string, tokensOf: (example: Example) => ArrayLike<number>) => {
    const all = rows[stream] ?? [];
    const order = new RandomStream(seed, `safety-neurons/${stream}`).permutation(all.length);
    const found = new Map(modules.map((module) => [module, new Neurons(ruleOf(roleOf(module), options))]));
    for (const row of order.subarray(0, options.queries)) {
      stopIfAsked(signal, "looking for neurons");
      const scores = await score(weights, tokensOf(all[row] as Example));
      for (const [module, neurons] of found) neurons.see(scores.get(module) ?? []);
    }
    return found;
  };
  const safety = await important("harmful", promptOf);
  const general = foundation ? await important("general", ({ inputIds }) => inputIds) : undefined;
  const places = new Map<string, readonly number[]>();
  for (const [module, neurons] of safety) {
    const own = without(neurons.places(), general?.get(module)?.places() ?? []);
    const strongest = neurons.strongest(own, options.most);
    places.set(module, isShared(roleOf(module), options) ? rowsOf(strongest, preparation, options) : strongest);
  }
  if ([...places.values()].some((list) => list.length > 0)) return places;
  throw new BoosterError("NEURONS_NOT_FOUND", "no neuron is important for every harmful prompt", {
    found: describeRule(options),
    hint: "Lower epsilon, take more of the top, or look at fewer queries.",
  });
}

const ruleOf = (role: Role | undefined, { select, epsilon, topAttention, topFeedForward }: DetectionOptions): Rule =>
  select === "threshold"
    ? { select, epsilon }
    : { select, count: role === "up" || role === "down" ? topFeedForward : topAttention };

const describeRule = ({ select, epsilon, topAttention, topFeedForward, queries }: DetectionOptions): string =>
  select === "threshold"
    ? `a threshold of ${epsilon} over ${queries} queries`
    : `the top ${topAttention} (attention) and ${topFeedForward} (feed-forward) of ${queries} queries`;

/** Whether a module's scores stand in the space of the queries. */
const isShared = (role: Role | undefined, { mode }: DetectionOptions): boolean =>
  mode === "reference" && (role === "key" || role === "value");

function rowsOf(places: readonly number[], { model }: Preparation, { sharedRows }: DetectionOptions): number[] {
  const shape = { group: model.heads / model.kvHeads, width: model.headDim };
  return [...new Set(places.map((place) => sharedRow(place, shape, sharedRows)))].sort((a, b) => a - b);
}
