import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import type { Call, RunFacts } from "../../method.ts";
import type { TarOptions } from "./options.ts";

type TrajectoryOptions = Pick<TarOptions, "trajectories" | "subsample" | "lambda" | keyof Weighting>;
type Weighting = Pick<TarOptions, "innerSteps" | "weighting" | "scheduleLambda">;

/** What one adversary does. */
export interface Adversary {
  readonly rate: number;
  /** Inner steps on harmless rows before it turns to the harmful ones. */
  readonly switchStep: number;
}

/** Rows that an adversary and the evaluations of its trajectory read. */
export interface TrajectoryRows {
  /** Of the i-th inner step. */
  readonly inner: (i: number) => NonNullable<Call["rows"]>;
  /** The same ones for the whole trajectory. */
  readonly heldOut: NonNullable<Call["rows"]>;
}

/** Weights of the evaluations: `s_i = exp(λ_s (i - (K - 1)))`, so that later ones count more and the last one 1, or all `1 / K`. */
export const trajectoryWeights = ({ innerSteps: K, weighting, scheduleLambda }: Weighting): number[] =>
  Array.from({ length: K }, (_, i) => (weighting === "uniform" ? 1 / K : Math.exp(scheduleLambda * (i - (K - 1)))));

const scalars = (values: Readonly<Record<string, number>>): NonNullable<Call["inputs"]> => {
  const inputs = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, tensor("float32", [], [value])]),
  );
  return () => inputs;
};

/** The calls of one trajectory: K adversary steps, an evaluation of the tampered weights after every `subsample`-th. */
export function trajectory(options: TrajectoryOptions, { rate, switchStep }: Adversary, rows: TrajectoryRows): Call[] {
  return trajectoryWeights(options).flatMap((weight, i): Call[] => {
    const inner = {
      program: i < switchStep ? "adversaryOnRetain" : "adversary",
      rows: rows.inner(i),
      inputs: scalars({ rate }),
    };
    if ((i + 1) % options.subsample !== 0) return [inner];
    const scale = (options.lambda * weight) / options.trajectories;
    return [inner, { program: "tamper", rows: rows.heldOut, inputs: scalars({ scale }) }];
  });
}

/** Uniform numbers of which the BETA_RANK-th smallest is Beta(6, 3), as an order statistic. */
const BETA_DRAWS = 8;
const BETA_RANK = 6;

/**
 * The adversary of the n-th trajectory of a run, counted over all outer steps: learning rate uniformly from the list; with
 * probability `switchShare` it begins on harmless rows and turns harmful at step `floor(Beta(6, 3) K)`.
 */
export function drawAdversary(
  seed: number,
  n: number,
  { innerSteps, adversaryRates, switchShare }: Pick<TarOptions, "innerSteps" | "adversaryRates" | "switchShare">,
): Adversary {
  const stream = new RandomStream(seed, "tar/adversary");
  const first = n * (BETA_DRAWS + 2);
  const rate = adversaryRates[stream.integer(first, adversaryRates.length)] as number;
  if (stream.uniform(first + 1) >= switchShare) return { rate, switchStep: 0 };
  const draws = Array.from({ length: BETA_DRAWS }, (_, i) => stream.uniform(first + 2 + i)).sort((a, b) => a - b);
  return { rate, switchStep: Math.floor((draws[BETA_RANK - 1] as number) * innerSteps) };
}

/**
 * Rows of the n-th trajectory of a run. Each takes K + 1 harmful batches in a row: one a step, and the last one for the
 * evaluations, so that those read rows that the adversary does not train on. Refusals for the evaluations are those that the
 * retain loss sees half an epoch later.
 */
export function trajectoryRows(
  facts: Pick<RunFacts, "batch" | "stepsPerEpoch" | "rows">,
  step: number,
  n: number,
  {
    innerSteps: K,
    paired,
    retain,
  }: { readonly innerSteps: number; readonly paired: boolean; readonly retain: TarOptions["retain"] },
): TrajectoryRows {
  const first = n * (K + 1);
  const harmful = facts.batch("harmful", first + K);
  const count = facts.rows.alignment ?? 0;
  const alignment = paired
    ? harmful.map((row) => row % count)
    : facts.batch("alignment", step + Math.floor(facts.stepsPerEpoch / 2));
  return {
    inner: (i) => ({ harmful: facts.batch("harmful", first + i), [retain]: facts.batch(retain, first + i) }),
    heldOut: { harmful, alignment },
  };
}
