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

/** The configuration of an adapter on disk. */
export interface AdapterConfig extends LoraConfig {
  readonly dropout: number;
  /** Name or path of the model that it was made for. */
  readonly baseModel: string | undefined;
  /** Set where it was trained on top of other adapters: the SHA-256 that tells what must stand below it. */
  readonly parent?: string | undefined;
}

/** Keys with no effect on what the adapter computes, whatever their value. */
const WITHOUT_EFFECT = new Set([
  "auto_mapping",
  "inference_mode",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "task_type",
]);

/** In the place of `LORA`, so that PEFT does not load as if it stood on the base alone what stands on other adapters. */
const DELTA = "BOOSTER_DELTA";

const absent = z.literal([false, null]).optional();
const schema = z.looseObject({
  peft_type: z.literal(["LORA", DELTA]),
  parent: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "a SHA-256")
    .optional(),
  base_model_name_or_path: z.string().max(4096).nullish(),
  r: z.int().min(1).max(MAX_LORA_RANK),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).max(1).default(0),
  target_modules: z.array(z.string().min(1).max(512), "a list of module names").min(1).max(10_000),
  bias: z.literal("none").default("none"),
  use_rslora: z.boolean().default(false),
  fan_in_fan_out: absent,
  // The others (pissa, olora, loftq, corda) also changed the base model's weights, which the adapter does not hold.
  init_lora_weights: z.literal([true, false, null, "gaussian", "orthogonal", "eva"]).optional(),
});

/**
 * Checks the content of PEFT's `adapter_config.json`.
 *
 * Keys that this project does not know, and known ones that change the computation (use_dora, rank_pattern,
 * modules_to_save, ...), are accepted when they are null, false or empty.
 *
 * @throws {BoosterError} `ADAPTER_CONFIG_INVALID` listing every wrong field, `ADAPTER_UNSUPPORTED` listing the keys that ask for
 *   something else than plain LoRA.
 * @example
 * parseAdapterConfig(JSON.parse(text), "adapter/adapter_config.json").alpha;
 */
export function parseAdapterConfig(document: unknown, where: string): AdapterConfig {
  const config = fitting(schema, document, "ADAPTER_CONFIG_INVALID", "the adapter's configuration is wrong", {
    where,
    hint: "A pattern or 'all-linear' as target_modules must be replaced by the list of modules that it stands for",
  });
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
    throw new BoosterError("ADAPTER_UNSUPPORTED", "the adapter is more than plain LoRA", {
      expected: "these keys to be null, false or empty",
      found: unsupported.sort().slice(0, 20).join(", "),
      where,
    });
  }
  return {
    r: config.r,
    alpha: config.lora_alpha,
    targetModules: [...config.target_modules].sort(),
    useRslora: config.use_rslora,
    dropout: config.lora_dropout,
    baseModel: config.base_model_name_or_path || undefined,
    ...(config.parent === undefined ? {} : { parent: config.parent }),
  };
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/**
 * The content of `adapter_config.json` for an adapter, ready to be used for inference or to be trained on.
 *
 * @example
 * adapterConfigJson({ r: 8, alpha: 16, targetModules: ["q_proj"], useRslora: false, dropout: 0, baseModel: "gpt" });
 */
export const adapterConfigJson = (config: AdapterConfig): Record<string, unknown> => ({
  alpha_pattern: {},
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
  rank_pattern: {},
  revision: null,
  target_modules: [...config.targetModules].sort(),
  task_type: "CAUSAL_LM",
  // Absent unless needed: PEFT before 0.7 refuses configurations with keys that it does not know.
  ...(config.useRslora ? { use_rslora: true } : {}),
});
