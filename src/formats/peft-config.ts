import { z } from "zod";
import { BoosterError, fitting } from "../errors.ts";

/** Above any real adapter (8 to 512), below what could exhaust memory by itself. */
export const MAX_LORA_RANK = 65_536;

/** What an adapter computes: W x + s B A x, with s = alpha / r, or alpha / sqrt(r) when rank-stabilised. */
export interface LoraConfig {
  readonly r: number;
  readonly alpha: number;
  /** Module names, each matching a whole name or its last dotted parts, e.g. `q_proj`. */
  readonly targetModules: readonly string[];
  readonly useRslora: boolean;
}

/** The configuration of an adapter that was read. */
export interface AdapterConfig extends LoraConfig {
  readonly dropout: number;
  /** Name or path of the model that it was made for. */
  readonly baseModel: string | undefined;
  /** Set where it was trained on top of other adapters: the SHA-256 that tells what must stand below it. */
  readonly parent?: string | undefined;
  /** Set where patterns gave modules scales of their own, which have been multiplied into their B. */
  readonly ownScales?: true;
}

/** Keys with no effect on what the adapter computes, whatever their value. */
const WITHOUT_EFFECT = new Set([
  "auto_mapping",
  // Of initialisations, which are over, and of training.
  "corda_config",
  "eva_config",
  "loftq_config",
  "lora_ga_config",
  // PEFT sets it by the kind of module, whatever the file says.
  "fan_in_fan_out",
  "inference_mode",
  "megatron_core",
  "peft_version",
  // Counts where `use_qalora` is true alone.
  "qalora_group_size",
  "revision",
  "runtime_config",
  "task_type",
]);

/** Beginnings of LoRA factors that leave the base model's weights as they are; the others took a part out of them. */
const HARMLESS_STARTS: readonly unknown[] = [true, false, null, undefined, "gaussian", "orthogonal", "eva", "mica"];

/** In the place of `LORA`, so that PEFT does not load as if it stood on the base alone what stands on other adapters. */
const DELTA = "BOOSTER_DELTA";

const Name = z.string().min(1).max(512);
const Names = z.array(Name).max(10_000);
/** One text is a regular expression; its length is looked at where it is read. */
const Modules = z.union([z.string().min(1), Names], "a list of module names, or a regular expression");
const Layer = z.int().min(0);
const patternOf = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string().min(1), value)
    .refine((pattern) => Object.keys(pattern).length <= 10_000, "at most 10000 keys")
    .nullish()
    .transform((pattern) => Object.entries(pattern ?? {}));

const schema = z.looseObject({
  peft_type: z.literal(["LORA", DELTA]),
  parent: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "a SHA-256")
    .optional(),
  base_model_name_or_path: z.string().max(4096).nullish(),
  r: z.int().min(1).max(MAX_LORA_RANK),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).max(1).nullish(),
  target_modules: Modules.refine((modules) => modules.length > 0, "at least one module"),
  exclude_modules: z.union([z.literal(""), Modules]).nullish(),
  layers_to_transform: z.union([Layer, z.array(Layer).max(10_000)]).nullish(),
  layers_pattern: z.union([z.string(), Names]).nullish(),
  rank_pattern: patternOf(z.int().min(1).max(MAX_LORA_RANK)),
  alpha_pattern: patternOf(z.number().positive()),
  bias: z.literal(["none", "all", "lora_only"]).nullish(),
  lora_bias: z.boolean().nullish(),
  modules_to_save: Names.nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
});

/** The content of `adapter_config.json`, under PEFT's names; patterns are pairs of a regular expression and a value, in the file's order. */
export type PeftConfig = z.infer<typeof schema>;

/**
 * Checks the content of PEFT's `adapter_config.json`. Every key is one that is used, one that changes nothing, or null, false or empty.
 *
 * @throws {BoosterError} `ADAPTER_CONFIG_INVALID` listing every wrong field, `ADAPTER_UNSUPPORTED` listing the keys that ask for
 *   what is not computed here, or naming an initialisation that changed the base model as well.
 * @example
 * parseAdapterConfig(JSON.parse(text), "adapter/adapter_config.json").lora_alpha;
 */
export function parseAdapterConfig(document: unknown, where: string): PeftConfig {
  const problem = "the adapter's configuration is wrong";
  const config = fitting(schema, document, "ADAPTER_CONFIG_INVALID", problem, { where });
  if ((config.peft_type === DELTA) !== (config.parent !== undefined)) {
    throw new BoosterError("ADAPTER_CONFIG_INVALID", "what was trained on top of other adapters names its parent", {
      expected: `both peft_type ${DELTA} and parent, or neither`,
      where,
    });
  }
  const unsupported = Object.entries(document as Record<string, unknown>)
    .filter(([key, value]) => !Object.hasOwn(schema.shape, key) && !WITHOUT_EFFECT.has(key) && !isEmpty(value))
    .map(([key]) => key);
  if (unsupported.length > 0) {
    throw new BoosterError("ADAPTER_UNSUPPORTED", "the adapter asks for more than LoRA", {
      expected: "these keys to be null, false or empty",
      found: unsupported.sort().slice(0, 20).join(", "),
      where,
    });
  }
  if (!HARMLESS_STARTS.includes(config.init_lora_weights)) {
    throw new BoosterError("ADAPTER_UNSUPPORTED", "a part of the base model's weights was moved into this adapter", {
      expected: "init_lora_weights true, as it stands in an adapter that was converted to plain LoRA",
      found: `init_lora_weights ${JSON.stringify(config.init_lora_weights)}`,
      where,
      hint: "Convert it with PEFT: save_pretrained(path, path_initial_model_for_weight_conversion=...).",
    });
  }
  const layered = (config.layers_to_transform ?? config.layers_pattern ?? undefined) !== undefined;
  if (typeof config.target_modules === "string" && layered) {
    throw new BoosterError("ADAPTER_CONFIG_INVALID", "a regular expression already says which layers are meant", {
      expected: "layers_to_transform and layers_pattern null where target_modules is a text",
      where,
    });
  }
  return config;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/**
 * The scale of each module's B A: alpha / r, or alpha / sqrt(r) when rank-stabilised.
 *
 * @example
 * loraScale({ r: 4, alpha: 8, useRslora: true }); // 4
 */
export const loraScale = ({ alpha, r, useRslora }: Pick<LoraConfig, "alpha" | "r" | "useRslora">): number =>
  alpha / (useRslora ? Math.sqrt(r) : r);

/**
 * The content of `adapter_config.json` for an adapter, ready to be used for inference or to be trained on. A module whose rank is another
 * one stands in both patterns, with the alpha that leaves the scale as it is.
 *
 * @param factors tensors of which each `lora_A.weight` has its module's rank
 * @param revision of the base model, where it is a repository of the hub
 * @example
 * adapterConfigJson({ r: 8, alpha: 16, targetModules: ["q_proj"], useRslora: false, dropout: 0, baseModel: "gpt" }, new Map());
 */
export function adapterConfigJson(
  config: AdapterConfig,
  factors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  revision?: string,
): Record<string, unknown> {
  const scale = loraScale(config);
  const ranks = [...factors].flatMap(([name, { shape }]): [string, number][] => {
    const module = /^(.+)\.lora_A\.weight$/.exec(name)?.[1];
    return module === undefined || shape[0] === config.r ? [] : [[module, shape[0] ?? 0]];
  });
  ranks.sort(([a], [b]) => (a < b ? -1 : 1));
  const alphas = ranks.map(([module, r]) => [module, scale * (config.useRslora ? Math.sqrt(r) : r)]);
  return {
    alpha_pattern: Object.fromEntries(alphas),
    auto_mapping: null,
    base_model_name_or_path: config.baseModel ?? "",
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: null,
    ...(config.parent === undefined ? { peft_type: "LORA" } : { parent: config.parent, peft_type: DELTA }),
    r: config.r,
    rank_pattern: Object.fromEntries(ranks),
    revision: revision ?? null,
    target_modules: [...config.targetModules].sort(),
    task_type: "CAUSAL_LM",
    // Absent unless needed: PEFT before 0.7 refuses configurations with keys that it does not know.
    ...(config.useRslora ? { use_rslora: true } : {}),
  };
}
