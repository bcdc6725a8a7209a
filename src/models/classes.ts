import { z } from "zod";
import { BoosterError, fitting } from "../errors.ts";
import { IGNORE } from "../formats/labels.ts";
import type { Example } from "./batch.ts";

/** What a classifier says of a text. */
export interface Classes {
  /** In the order of its logits. */
  readonly labels: readonly string[];
  /** Several may hold at once (a sigmoid each), or one alone does (softmax); undefined where config.json does not say. */
  readonly problem: "multi_label_classification" | "single_label_classification" | undefined;
  /** Token at padding: a text ends with the last token that is another one. */
  readonly padId: number | undefined;
}

const WHERE = "config.json";
const ClassKeys = z.looseObject({
  architectures: z.array(z.string()).optional(),
  id2label: z.record(z.string().regex(/^\d+$/), z.string().min(1)),
  problem_type: z.enum(["multi_label_classification", "single_label_classification"]).nullish(),
  pad_token_id: z.int().nonnegative().nullish(),
});

/** Whether a config.json speaks of a model that sorts texts into classes, and so writes none. */
export const isClassifier = (config: unknown): boolean =>
  z.looseObject({ architectures: z.array(z.string().regex(/ForSequenceClassification$/)).min(1) }).safeParse(config)
    .success;

/** How the names of a family's language model and of its classifier end. */
export const LANGUAGE = ["ForCausalLM", "LMHeadModel", "Model"];
export const CLASSIFIER = ["ForSequenceClassification", ...LANGUAGE];
/** The same by the key of `auto_map` that names a class. */
const ENDINGS = new Map([
  ["AutoConfig", ["Config"]],
  ["AutoModel", LANGUAGE],
  ["AutoModelForCausalLM", LANGUAGE],
  ["AutoModelForSequenceClassification", CLASSIFIER],
]);
const Kind = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  auto_map: z.record(z.string(), z.unknown()).nullish(),
});

/**
 * Makes sure that a config.json means its family's language model, such as `LlamaForCausalLM` or `LlamaModel`, and no class
 * that computes something else with the same weights.
 *
 * @param endings of the names of such classes
 * @throws {BoosterError} `MODEL_CONFIG_INVALID`
 */
export function refuseOtherClass(config: unknown, endings: readonly string[] = LANGUAGE): void {
  const kind = fitting(Kind, config, "MODEL_CONFIG_INVALID", "the class of the model cannot be read", { where: WHERE });
  const family = kind.model_type.replaceAll("_", "");
  const isOwn = (name: string, ends: readonly string[]) =>
    ends.some((end) =>
      [family, family.replace(/text$/, "")].some((of) =>
        new RegExp(`^${of}${end}$`, "i").test(name.replaceAll("_", "")),
      ),
    );
  const { architectures, auto_map: code } = kind;
  const named = (architectures ?? []).map((name) => ["architectures", name, endings] as const);
  const custom = [...ENDINGS].flatMap(([key, ends]) =>
    typeof code?.[key] === "string" ? [["auto_map", code[key].split(".").at(-1) ?? "", ends] as const] : [],
  );
  const other = [...named, ...custom].find(([, name, ends]) => !isOwn(name, ends));
  if (other === undefined) return;
  throw new BoosterError(
    "MODEL_CONFIG_INVALID",
    `this is no ${kind.model_type} model as it is known, but a class of its own`,
    {
      expected: `${kind.model_type}'s causal language model`,
      found: other[1].slice(0, 60),
      where: `${other[0]} in ${WHERE}`,
      hint: `If it computes the same, take it out of ${WHERE}.`,
    },
  );
}

/**
 * The classes that a config.json speaks of.
 *
 * @throws {BoosterError} `MODEL_CONFIG_INVALID` where it is that of another kind of model, or lacks labels
 */
export function classesOf(config: unknown): Classes {
  if (!isClassifier(config)) {
    throw new BoosterError("MODEL_CONFIG_INVALID", "this is no model that sorts texts into classes", {
      expected: "architectures that end with ForSequenceClassification",
      where: WHERE,
    });
  }
  const keys = fitting(ClassKeys, config, "MODEL_CONFIG_INVALID", "the classes cannot be read", { where: WHERE });
  const labels = Object.keys(keys.id2label).map((_, id) => keys.id2label[id]);
  if (labels.length < 2 || labels.includes(undefined)) {
    throw new BoosterError("MODEL_CONFIG_INVALID", "the labels do not add up", {
      expected: "at least two, numbered from 0",
      found: Object.keys(keys.id2label).slice(0, 20).join(", ") || "none",
      where: `id2label in ${WHERE}`,
    });
  }
  return {
    labels: labels as string[],
    problem: keys.problem_type ?? undefined,
    padId: keys.pad_token_id ?? undefined,
  };
}

/** Place of the token whose state is classified. Source: `modeling_layers.py` of transformers 5, the same as before where no token of a text is padding. */
export function pooledAt(ids: ArrayLike<number>, padId: number | undefined): number {
  let place = ids.length - 1;
  if (padId !== undefined) while (place > 0 && ids[place] === padId) place--;
  return place;
}

/** A row as a classifier learns it: what stands behind the token that is classified is its class, or its marks. */
export function classifiable(ids: readonly number[], learned: number, padId: number | undefined): Example {
  const read = ids.slice(0, pooledAt(ids, padId) + 1);
  // Nobody reads the last token; it is there to have something said of it.
  return { inputIds: [...read, read.at(-1) as number], labels: [...read.map(() => IGNORE), learned] };
}

/** Probability of each label. */
export function probabilities(logits: readonly number[], problem: Classes["problem"]): number[] {
  if (problem === "multi_label_classification") return logits.map((z) => 1 / (1 + Math.exp(-z)));
  const most = Math.max(...logits);
  const parts = logits.map((z) => Math.exp(z - most));
  const total = parts.reduce((sum, part) => sum + part, 0);
  return parts.map((part) => part / total);
}
