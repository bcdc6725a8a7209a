import { z } from "zod";
import { ServiceError } from "../../domain/service-error.ts";
import type { Ask } from "../../engine/types.ts";
import { strict } from "../json.ts";

/** Answers of one request at most, over all its prompts. */
export const MOST_ANSWERS = 128;
export const MOST_CHOICES = 8;

const Stop = z.string().min(1).max(1000);

/** What chat, completions and responses have in common. As with OpenAI, null is as good as nothing. */
export const Sampling = {
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().positive().max(1).nullish(),
};

/** What chat and completions have in common. */
export const Choosing = {
  ...Sampling,
  n: z.int().min(1).max(MOST_CHOICES).nullish(),
  seed: z.int().nullish(),
  stop: z.union([Stop, z.array(Stop).max(4)]).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,9}$/, "must be a token id"), z.number().min(-100).max(100))
    .refine((bias) => Object.keys(bias).length <= 300, "at most 300 tokens")
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: strict({
    include_usage: z.boolean().nullish(),
    include_obfuscation: z.boolean().nullish(),
  }).nullish(),
};

export const Model = z.string().min(1).max(512);
/** Taken, and of no effect here: they change nothing of an answer. */
export const WithoutEffect = {
  user: z.string().max(512).nullish(),
};

/** The same, of chat and responses. */
export const ConversationWithoutEffect = {
  ...WithoutEffect,
  store: z.boolean().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  safety_identifier: z.string().max(512).nullish(),
  service_tier: z.string().max(50).nullish(),
  prompt_cache_key: z.string().max(512).nullish(),
  prompt_cache_retention: z.string().max(50).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
};

interface Chosen {
  readonly n?: number | null | undefined;
  readonly seed?: number | null | undefined;
  readonly stop?: string | readonly string[] | null | undefined;
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
}

/** How the engine is to choose tokens, with OpenAI's defaults. */
export function choosing(body: Chosen): Omit<Ask, "model" | "prompts" | "echo" | "usualNewTokens"> {
  const { stop } = body;
  return {
    n: body.n ?? 1,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    seed: body.seed ?? undefined,
    stop: stop === null || stop === undefined ? [] : typeof stop === "string" ? [stop] : stop,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    logitBias: new Map(Object.entries(body.logit_bias ?? {}).map(([id, value]) => [Number(id), value])),
  };
}

/** Fields that OpenAI has and this service not, with the values under which they change nothing. */
export type Unsupported = Readonly<Record<string, (value: unknown) => boolean>>;

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;
export const never = (): boolean => false;
export const only =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.some((one) => JSON.stringify(one) === JSON.stringify(value));
export const empty = isEmpty;

/** Fields of a schema that are looked at by `refuse`. */
export const unsupported = <Names extends Unsupported>(names: Names) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, z.unknown().optional()])) as Record<
    keyof Names,
    z.ZodOptional<z.ZodUnknown>
  >;

/**
 * What would change an answer and is not done here is refused by name, never dropped.
 *
 * @throws {ServiceError} `unsupported_parameter`
 */
export function refuse(body: Readonly<Record<string, unknown>>, names: Unsupported): void {
  for (const [name, changesNothing] of Object.entries(names)) {
    const value = body[name];
    if (value === undefined || value === null || changesNothing(value)) continue;
    throw unsupportedParameter(name);
  }
}

export const unsupportedParameter = (param: string, hint?: string): ServiceError =>
  new ServiceError("unsupported_parameter", `${param} is not supported by this service`, {
    param,
    ...(hint === undefined ? {} : { hint }),
  });
