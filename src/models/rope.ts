/** Rotary positions as config.json states them: kinds of scaling, each a row of `ROPE_KINDS`. */
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { isObject } from "../formats/strict-json.ts";
import { type Rotation, rotaryFrequencies } from "../nn/index.ts";

/** What frequencies depend on beside the parameters. */
interface Sizes {
  /** Numbers of a head that are turned. */
  readonly width: number;
  readonly maxPositions: number;
}

interface RopeKind<S extends z.ZodObject = z.ZodObject> {
  /** `rope_type` of config.json. */
  readonly name: string;
  readonly parameters: S;
  /** @param plain frequencies without scaling */
  rotation(parameters: z.output<S> & { readonly rope_theta: number }, plain: number[], sizes: Sizes): Rotation;
}

const kind = <S extends z.ZodObject>(row: RopeKind<S>): RopeKind => row as unknown as RopeKind;

/** Several times the widest heads that there are. */
const MAX_WIDTH = 4096;

const positive = z.number().positive();
const length = z.int().positive();

/** The larger part of the frequencies as they are, long waves slowed down. Source: Hugging Face's `_compute_llama3_parameters`. */
const llama3 = kind({
  name: "llama3",
  parameters: z.strictObject({
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: length.optional(),
  }),
  rotation({ factor, low_freq_factor: low, high_freq_factor: high, ...given }, plain, { maxPositions }) {
    const context = given.original_max_position_embeddings ?? maxPositions;
    const frequencies = plain.map((frequency) => {
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength > context / low) return frequency / factor;
      if (wavelength < context / high) return frequency;
      const smooth = (context / wavelength - low) / (high - low);
      return ((1 - smooth) * frequency) / factor + smooth * frequency;
    });
    return { frequencies, factor: 1 };
  },
});

/**
 * With c(n) = width ln(context / (2 pi n)) / (2 ln theta), the pair that turns n times within the context, pair i keeps its frequency
 * up to c(beta_fast), is slowed down by `factor` from c(beta_slow) on, and is blended in between.
 * Source: Peng et al., arXiv 2309.00071; Hugging Face's `_compute_yarn_parameters`.
 */
const yarn = kind({
  name: "yarn",
  parameters: z.strictObject({
    factor: positive.nullish(),
    original_max_position_embeddings: length.optional(),
    attention_factor: positive.nullish(),
    beta_fast: positive.nullish(),
    beta_slow: positive.nullish(),
    mscale: z.number().nonnegative().nullish(),
    mscale_all_dim: z.number().nonnegative().nullish(),
    truncate: z.boolean().default(true),
    /** Says how the checkpoint was made. */
    finetuned: z.boolean().optional(),
  }),
  rotation({ rope_theta: theta, truncate, mscale, mscale_all_dim, ...given }, plain, { width, maxPositions }) {
    const context = given.original_max_position_embeddings ?? maxPositions;
    const factor = given.factor ?? maxPositions / context;
    const pairOf = (turns: number) => (width * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const [fast, slow] = [pairOf(given.beta_fast || 32), pairOf(given.beta_slow || 1)];
    const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
    const high = Math.min(truncate ? Math.ceil(slow) : slow, width - 1);
    const frequencies = plain.map((frequency, i) => {
      const slowed = Math.min(Math.max((i - low) / (high === low ? 0.001 : high - low), 0), 1);
      return (frequency / factor) * slowed + frequency * (1 - slowed);
    });
    const scale = (by: number) => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
    const usual = mscale && mscale_all_dim ? scale(mscale) / scale(mscale_all_dim) : scale(1);
    return { frequencies, factor: given.attention_factor ?? usual };
  },
});

/** Factors of their own for each pair, others for long rows. Source: Ding et al., arXiv 2402.13753; `_compute_longrope_parameters`. */
const longrope = kind({
  name: "longrope",
  parameters: z.strictObject({
    short_factor: z.array(positive),
    long_factor: z.array(positive),
    factor: positive.nullish(),
    attention_factor: positive.nullish(),
    original_max_position_embeddings: length.optional(),
  }),
  rotation({ short_factor, long_factor, attention_factor, ...given }, plain, { maxPositions }) {
    const context = given.original_max_position_embeddings ?? maxPositions;
    const factor = given.factor ?? maxPositions / context;
    const divided = (by: readonly number[], where: string) => {
      if (by.length === plain.length) return plain.map((frequency, i) => frequency / (by[i] as number));
      throw misstated(
        `${plain.length} numbers, one for each pair of a head`,
        `${by.length}`,
        `${where} in config.json`,
      );
    };
    const long = { beyond: context, frequencies: divided(long_factor, "long_factor") };
    return {
      frequencies: divided(short_factor, "short_factor"),
      factor: attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(context))),
      ...(context < maxPositions ? { long } : {}),
    };
  },
});

/** Every `rope_type` that can be computed. A new one is a row. */
const ROPE_KINDS: readonly RopeKind[] = [
  kind({ name: "default", parameters: z.strictObject({}), rotation: (_, frequencies) => ({ frequencies, factor: 1 }) }),
  kind({
    name: "linear",
    parameters: z.strictObject({ factor: positive }),
    rotation: ({ factor }, plain) => ({ frequencies: plain.map((frequency) => frequency / factor), factor: 1 }),
  }),
  // Up to `max_position_embeddings`, which no row exceeds, this is no scaling at all.
  kind({
    name: "dynamic",
    parameters: z.strictObject({ factor: positive, original_max_position_embeddings: length.optional() }),
    rotation: (_, frequencies) => ({ frequencies, factor: 1 }),
  }),
  llama3,
  yarn,
  longrope,
];

/** `rope_parameters` of config.json, whose other style is brought into this one by `parseConfig`. */
export type RopeParameters = {
  readonly rope_type: string;
  readonly rope_theta: number;
  readonly partial_rotary_factor: number;
};

/**
 * The schema of one object of rotary parameters, complete with the family's defaults.
 *
 * @param theta base where none is stated
 * @param partial share of each head that is turned where none is stated; absent in families that turn whole heads
 * @param kinds those of `ROPE_KINDS` that the family has; by default all
 */
export function ropeParameters(theta = 10_000, partial?: number, kinds?: readonly string[]) {
  const shared = {
    rope_theta: positive.default(theta),
    partial_rotary_factor: partial ? positive.max(1).default(partial) : z.literal(1).default(1),
  };
  const rows = ROPE_KINDS.filter(({ name }) => kinds?.includes(name) ?? true).map(({ name, parameters }) =>
    parameters.extend({ rope_type: z.literal(name), ...shared }),
  );
  const union = z.discriminatedUnion("rope_type", rows as [(typeof rows)[number], ...typeof rows]);
  return z.preprocess(
    (given) => (isObject(given) ? { rope_type: "default", ...given } : given),
    union as unknown as z.ZodType<RopeParameters>,
  );
}

/**
 * What turns the heads by these parameters.
 *
 * @throws {BoosterError} `MODEL_CONFIG_INVALID` where they do not fit the heads
 * @example
 * rotationOf(ropeParameters().parse({ rope_type: "linear", factor: 4 }), { headDim: 64, maxPositions: 4096 }).frequencies[0]; // 0.25
 */
export function rotationOf(
  parameters: RopeParameters,
  { headDim, maxPositions }: { readonly headDim: number; readonly maxPositions: number },
): Rotation {
  const width = Math.floor(headDim * parameters.partial_rotary_factor);
  if (width % 2 !== 0 || width === 0 || width > MAX_WIDTH) {
    throw misstated(
      `an even part of each head, of at most ${MAX_WIDTH} numbers`,
      `${width} of ${headDim}`,
      "config.json",
    );
  }
  const row = ROPE_KINDS.find(({ name }) => name === parameters.rope_type) as RopeKind;
  return row.rotation(parameters, rotaryFrequencies(width, parameters.rope_theta), { width, maxPositions });
}

const misstated = (expected: string, found: string, where: string): BoosterError =>
  new BoosterError("MODEL_CONFIG_INVALID", "the rotary positions do not fit the model", { expected, found, where });
