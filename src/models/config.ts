/** config.json of a model, read once: both styles become one, and a key whose effect is not known is an error. */
import { z } from "zod";
import { closest } from "../choice.ts";
import { BoosterError, fitting } from "../errors.ts";
import { isObject } from "../formats/strict-json.ts";
import { COMMON_KEYS, INERT_KEYS } from "./config-keys.ts";

/** How a family reads its config.json. */
export interface ConfigKeys<S extends z.ZodObject = z.ZodObject> {
  /** `model_type` of config.json. */
  readonly name: string;
  /** Keys that the forward pass depends on; where one is absent, its default is the family's in Hugging Face's library. */
  readonly used: S;
  /** Keys that are known to change nothing, beside those of every family. */
  readonly inert?: readonly string[];
  /** Rotary positions differ between layers of full attention and of a window. */
  readonly ropeByLayer?: boolean;
  /** What older files of the family call `rope_theta` and `partial_rotary_factor`. */
  readonly ropeNames?: Readonly<Record<string, "rope_theta" | "partial_rotary_factor">>;
}

type Config = Readonly<Record<string, unknown>>;

const WHERE = "config.json";

/** In the place of `rope_parameters` in older files. */
const ROPE_KEYS = ["rope_theta", "rope_scaling", "partial_rotary_factor"];

/** Names the keys that somebody said to change nothing; it goes wherever the configuration goes. */
const INSISTED = "booster_ignored_keys";

/** A configuration in which some keys, though not known, are passed over. */
export const insisting = (config: unknown, keys: readonly string[]): unknown =>
  isObject(config) && keys.length > 0 ? { ...config, [INSISTED]: keys } : config;

/**
 * The keys that a family uses, checked and complete.
 *
 * @throws {BoosterError} `MODEL_CONFIG_INVALID` naming every key that is wrong, unknown or stated twice
 * @example
 * parseConfig({ name: "tiny", used: z.object({ rope_parameters: ropeParameters() }) }, { rope_theta: 5e5 }); // rope_parameters.rope_theta 500000
 */
export function parseConfig<S extends z.ZodObject>(keys: ConfigKeys<S>, raw: unknown): z.output<S> {
  const { name, used } = keys;
  if (!isObject(raw)) throw misfit(`this is no ${name} configuration`, "an object", String(raw));
  refuseQuantised(raw);
  const config = "rope_parameters" in used.shape ? withRopeParameters(raw, keys) : raw;
  const known = [...Object.keys(used.shape), ...Object.keys(COMMON_KEYS.shape), ...INERT_KEYS, ...(keys.inert ?? [])];
  const unknown = Object.keys(config).filter((key) => key !== INSISTED && !known.includes(key));
  const ignored = fitting(
    z.array(z.string()).default([]),
    raw[INSISTED],
    "MODEL_CONFIG_INVALID",
    `${INSISTED} is no list`,
  );
  const vain = ignored.filter((key) => !unknown.includes(key));
  if (vain.length > 0) {
    throw misfit(
      "only a key that is there and not known can be ignored",
      unknown.join(", ") || "none",
      vain.join(", "),
    );
  }
  // Files from outside may have any number of keys, of any length.
  const strange = unknown.filter((key) => !ignored.includes(key)).map((key) => key.slice(0, 60));
  if (strange.length > 0) {
    const meant = strange.slice(0, 5).flatMap((key) => closest(key, [...known, ...ROPE_KEYS]) ?? []);
    throw misfit(
      `what some keys of this ${name} configuration change is not known`,
      undefined,
      strange.length > 20 ? `${strange.slice(0, 20).join(", ")} and ${strange.length - 20} more` : strange.join(", "),
      meant.length > 0
        ? `Did you mean ${meant.join(", ")}?`
        : "If a key changes nothing in how the model computes, name it in ignoreConfigKeys (--ignore-config-keys).",
    );
  }
  const problem = `this ${name} configuration cannot be computed`;
  fitting(COMMON_KEYS, config, "MODEL_CONFIG_INVALID", problem, { where: WHERE });
  const older = raw.rope_scaling === undefined ? {} : { hint: "rope_scaling is read as rope_parameters." };
  return fitting(used, config, "MODEL_CONFIG_INVALID", problem, { where: WHERE, ...older }) as z.output<S>;
}

/** @throws {BoosterError} `MODEL_CONFIG_INVALID` that says how the weights are quantised */
function refuseQuantised({ quantization_config, quantization }: Config): void {
  const quantised = quantization_config ?? quantization ?? undefined;
  if (quantised === undefined) return;
  const { quant_method: method, bits } = isObject(quantised) ? quantised : {};
  throw misfit(
    "the weights are quantised in a form that is not read",
    "float32, float16 or bfloat16 weights, or a GGUF file",
    `quantization_config: ${[method, bits && `${String(bits)} bits`].filter(Boolean).join(", ") || "of an unknown method"}`,
    "Take the checkpoint that it was made from, or a GGUF file of the same model.",
  );
}

/**
 * Older files state rotary positions side by side (`rope_theta`, `rope_scaling`, `partial_rotary_factor`), newer ones (transformers 5)
 * in `rope_parameters`, for each kind of layer where kinds differ. What is stated twice must be the same.
 */
function withRopeParameters(config: Config, { ropeByLayer = false, ropeNames = {} }: ConfigKeys): Config {
  const renamed = Object.entries(ropeNames).map(([old, now]) => ({ [now]: config[old] }));
  const { rope_theta, partial_rotary_factor, rope_scaling, rope_parameters, ...others } = Object.fromEntries(
    Object.entries(config).filter(([key]) => !(key in ropeNames)),
  );
  const stated = statement(rope_parameters, "rope_parameters");
  // Some versions of Hugging Face's library take it, others the default.
  const alone = Object.entries(ropeNames).find(
    ([old, now]) => config[now] !== undefined && config[old] === undefined && stated[now] === undefined,
  );
  if (alone !== undefined) {
    throw misfit(
      "what this key means in this family depends on who reads it",
      alone[0],
      alone[1],
      `Call it ${alone[0]}.`,
    );
  }
  const old = [...renamed, { rope_theta, partial_rotary_factor }, statement(rope_scaling, "rope_scaling")];
  if (!ropeByLayer) return { ...others, rope_parameters: agreeing([...old, stated]) };
  const { rope_local_base_freq, ...rest } = others;
  const { full_attention, sliding_attention, ...flat } = stated;
  return {
    ...rest,
    rope_parameters: {
      ...flat,
      full_attention: agreeing([...old, statement(full_attention, "full_attention")]),
      sliding_attention: agreeing([
        { rope_theta: rope_local_base_freq },
        statement(sliding_attention, "sliding_attention"),
      ]),
    },
  };
}

/** One object of rotary parameters, under the newer name of its type. */
function statement(value: unknown, where: string): Config {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw misfit("the rotary positions cannot be read", "an object", String(value), where);
  const { type, ...rest } = value;
  const named = agreeing([{ rope_type: type }, { rope_type: rest.rope_type }]);
  // The first name that Phi-3 had for it.
  return { ...rest, ...named, ...(named.rope_type === "su" ? { rope_type: "longrope" } : {}) };
}

/** What several places state, in one. @throws {BoosterError} `MODEL_CONFIG_INVALID` where two differ */
function agreeing(statements: readonly Config[]): Config {
  const all: Record<string, unknown> = {};
  for (const [key, value] of statements.flatMap((of) => Object.entries(of))) {
    if (value === undefined) continue;
    if (key in all && JSON.stringify(all[key]) !== JSON.stringify(value)) {
      const found = `${key} ${JSON.stringify(all[key])} and ${JSON.stringify(value)}`;
      throw misfit("the configuration says two things about the rotary positions", "one value", found);
    }
    all[key] = value;
  }
  return all;
}

const misfit = (problem: string, expected: string | undefined, found: string, hint?: string): BoosterError =>
  new BoosterError("MODEL_CONFIG_INVALID", problem, {
    ...(expected === undefined ? {} : { expected }),
    found,
    where: WHERE,
    ...(hint === undefined ? {} : { hint }),
  });

/** Keys of config.json that Hugging Face's library from version 5 on takes as floats alone, and refuses without a point. */
const FLOATS =
  /^( {2}"(?:attn_logit_softcapping|final_logit_softcapping|rms_norm_eps|layer_norm_eps|layer_norm_epsilon|initializer_range|init_std)": -?\d+)(,?)$/gm;

/**
 * The text of a config.json.
 *
 * @example
 * configText({ vocab_size: 97, final_logit_softcapping: 30 }); // "final_logit_softcapping": 30.0
 */
export const configText = (config: unknown): string =>
  `${JSON.stringify(config, undefined, 2).replace(FLOATS, "$1.0$2")}\n`;
