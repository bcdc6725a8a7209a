import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type Rate, rate } from "../rate.ts";
import { activeBuckets } from "./features.ts";
import type { Exchange, Moderator } from "./moderator.ts";

/** An exchange with a reader's verdict. */
export interface LabelledExchange extends Exchange {
  readonly harmful: boolean;
}

/** How well a classifier does on exchanges whose prompts it never saw, in per cent with Wilson's interval. */
export interface HeldOut {
  readonly accuracy: Rate;
  /** Share of harmful answers that it flags. */
  readonly harmfulFlagged: Rate;
  /** Share of harmless answers that it lets pass. */
  readonly harmlessPassed: Rate;
}

/** A trained classifier: p(harmful) = sigmoid(bias + sum of the weights of the active buckets / sqrt(their number)). */
export interface ClassifierModel {
  readonly weights: Float32Array;
  readonly bias: number;
  readonly heldOut: HeldOut;
}

const DEFAULTS = {
  buckets: 2 ** 17,
  epochs: 12,
  learningRate: 2,
  weightDecay: 1e-4,
  /** Share of prompts kept aside to measure accuracy. */
  heldOutShare: 0.2,
  seed: 0,
};

/** What training a classifier may be told. */
export type ClassifierOptions = Readonly<Partial<typeof DEFAULTS>>;

interface Example {
  readonly buckets: Int32Array;
  readonly harmful: boolean;
}

function probability(weights: Float32Array | Float64Array, bias: number, buckets: Int32Array): number {
  let sum = 0;
  for (const bucket of buckets) sum += weights[bucket] ?? 0;
  return 1 / (1 + Math.exp(-(bias + sum / Math.sqrt(Math.max(1, buckets.length)))));
}

/**
 * Counter-examples, so that the prompt alone decides nothing: every harmful exchange's prompt again with a borrowed harmless answer and with
 * no answer at all, both harmless. Without them a classifier learns which data set a prompt comes from.
 */
function counterExamples(examples: readonly LabelledExchange[], random: RandomStream): LabelledExchange[] {
  const harmless = examples.filter((example) => !example.harmful);
  return examples
    .filter((example) => example.harmful)
    .flatMap(({ prompt }, i) => [
      { prompt, answer: harmless[random.integer(i, harmless.length)]?.answer ?? "", harmful: false },
      { prompt, answer: "", harmful: false },
    ]);
}

/** Stochastic gradient descent on the logistic loss, 1 / (1 + epoch) step decay, weight decay on the weights touched; float64. */
function descend(examples: readonly Example[], options: typeof DEFAULTS, order: RandomStream) {
  const weights = new Float64Array(options.buckets);
  let bias = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    const rate = options.learningRate / (1 + epoch);
    for (const index of order.permutation(examples.length, epoch)) {
      const { buckets, harmful } = examples[index] as Example;
      const error = probability(weights, bias, buckets) - (harmful ? 1 : 0);
      const scale = error / Math.sqrt(Math.max(1, buckets.length));
      for (const bucket of buckets) {
        const weight = weights[bucket] as number;
        weights[bucket] = weight - rate * (scale + options.weightDecay * weight);
      }
      bias -= rate * error;
    }
  }
  // Rounded here so that a saved and a fresh classifier give the same verdicts.
  return { weights: Float32Array.from(weights), bias };
}

function measure(weights: Float32Array, bias: number, examples: readonly LabelledExchange[]): HeldOut {
  const right = (harmful: boolean) => {
    const group = examples.filter((example) => example.harmful === harmful);
    const agreed = group.filter(
      (example) => probability(weights, bias, activeBuckets(example, weights.length)) > 0.5 === harmful,
    );
    return rate(agreed.length, group.length);
  };
  return heldOutOf(right(true), right(false));
}

const heldOutOf = (harmfulFlagged: Rate, harmlessPassed: Rate): HeldOut => ({
  accuracy: rate(harmfulFlagged.count + harmlessPassed.count, harmfulFlagged.total + harmlessPassed.total),
  harmfulFlagged,
  harmlessPassed,
});

/**
 * Deals examples out by their prompts: those of a share of the prompts are held out, so that no prompt is in both parts.
 *
 * @throws {BoosterError} `CLASSIFIER_DATA` when harmful or harmless exchanges are missing in one of the parts
 */
export function splitByPrompt<T extends LabelledExchange>(
  examples: readonly T[],
  share: number,
  seed: number,
): { readonly training: readonly T[]; readonly heldOut: readonly T[] } {
  const prompts = [...new Set(examples.map((example) => example.prompt))];
  const shuffled = new RandomStream(seed, "classifier-split").permutation(prompts.length);
  const kept = Math.round(prompts.length * share);
  const aside = new Set(Array.from(shuffled.subarray(0, kept), (i) => prompts[i]));
  const heldOut = examples.filter((example) => aside.has(example.prompt));
  const training = examples.filter((example) => !aside.has(example.prompt));
  for (const [name, part] of [
    ["training", training],
    ["held-out", heldOut],
  ] as const) {
    const harmful = part.filter((example) => example.harmful).length;
    if (harmful > 0 && harmful < part.length) continue;
    throw new BoosterError("CLASSIFIER_DATA", `the ${name} part has one kind of exchange only`, {
      expected: "harmful and harmless exchanges",
      found: `${harmful} harmful, ${part.length - harmful} harmless`,
      hint: "Give more labelled exchanges, of both kinds, with distinct prompts",
    });
  }
  return { training, heldOut };
}

/**
 * Trains a logistic regression on hashed words and word pairs (prompt and answer), seconds for some ten thousand exchanges.
 *
 * Accuracy is measured on a share of the *prompts* that training never sees, counter-examples apart. Same input and seed, same bytes.
 *
 * @throws {BoosterError} `CLASSIFIER_DATA` when harmful or harmless exchanges are missing, in training or held out.
 * @example
 * const model = trainClassifier(labelled);
 * const moderator = classifier(model);
 */
export function trainClassifier(
  examples: readonly LabelledExchange[],
  options: ClassifierOptions = {},
): ClassifierModel {
  const settings = { ...DEFAULTS, ...options };
  const { training, heldOut } = splitByPrompt(examples, settings.heldOutShare, settings.seed);
  const extended = [...training, ...counterExamples(training, new RandomStream(settings.seed, "classifier-borrow"))];
  const { weights, bias } = descend(
    extended.map((example) => ({ buckets: activeBuckets(example, settings.buckets), harmful: example.harmful })),
    settings,
    new RandomStream(settings.seed, "classifier-order"),
  );
  return { weights, bias, heldOut: measure(weights, bias, heldOut) };
}

/** The moderator of a trained classifier: harmful when the probability is above one half, as the reference's moderator. */
export function classifier({ weights, bias, heldOut }: ClassifierModel): Moderator {
  return {
    name: "classifier",
    describe: () => ({
      method: `logistic regression on words and word pairs; flags ${heldOut.harmfulFlagged.percent.toFixed(1)} % of harmful and passes ${heldOut.harmlessPassed.percent.toFixed(1)} % of harmless held-out answers`,
      accuracy: heldOut.accuracy,
    }),
    judge: async (exchanges) =>
      exchanges.map((exchange) => {
        const p = probability(weights, bias, activeBuckets(exchange, weights.length));
        return { harmful: p > 0.5, probability: p };
      }),
  };
}

const CountSchema = z.object({ count: z.int().min(0), total: z.int().min(1) });
const FileSchema = z.object({
  format: z.literal("booster-classifier-1"),
  bias: z.number(),
  /** Little-endian float32, base64. */
  weights: z.base64(),
  heldOut: z.object({ harmfulFlagged: CountSchema, harmlessPassed: CountSchema }),
});

/** A classifier as JSON text. */
export function saveClassifier({ weights, bias, heldOut }: ClassifierModel): string {
  const bytes = Buffer.alloc(weights.length * 4);
  for (const [i, weight] of weights.entries()) bytes.writeFloatLE(weight, i * 4);
  const counts = ({ count, total }: Rate) => ({ count, total });
  return `${JSON.stringify({
    format: "booster-classifier-1",
    bias,
    heldOut: { harmfulFlagged: counts(heldOut.harmfulFlagged), harmlessPassed: counts(heldOut.harmlessPassed) },
    weights: bytes.toString("base64"),
  })}\n`;
}

/** Reads what `saveClassifier` wrote. Throws `CLASSIFIER_FILE` when it is anything else. */
export function loadClassifier(text: string, where = "classifier file"): ClassifierModel {
  const file = parseFile(text, where);
  const bytes = Buffer.from(file.weights, "base64");
  const { harmfulFlagged: flagged, harmlessPassed: passed } = file.heldOut;
  return {
    bias: file.bias,
    weights: Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4)),
    heldOut: heldOutOf(rate(flagged.count, flagged.total), rate(passed.count, passed.total)),
  };
}

function parseFile(text: string, where: string): z.infer<typeof FileSchema> {
  try {
    return FileSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new BoosterError("CLASSIFIER_FILE", "this is not a saved classifier", {
      expected: 'JSON with format "booster-classifier-1"',
      found: cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause),
      where,
      hint: "Train it again and save it with saveClassifier",
      cause,
    });
  }
}
