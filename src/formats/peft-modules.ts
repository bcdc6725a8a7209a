import { loraScale, type PeftConfig } from "./peft-config.ts";
import { type PythonPattern, pythonRegex, withinMatchingTime } from "./python-regex.ts";

/** A model as far as adapters know it; all names are those of weights and modules in Hugging Face's files. */
export interface AdaptedModel {
  /** Linear layers inside the blocks: `[out, in]`. */
  readonly linears: ReadonlyMap<string, readonly [out: number, inputs: number]>;
  readonly weights: ReadonlyMap<string, readonly number[]>;
  /** Weight of the embedding, `[vocabulary, hidden]`. */
  readonly embedding: string;
  /** Weight of the output head; the embedding's where they are tied. */
  readonly head: string;
}

/** The head's weight where it is the embedding's. */
const TIED_HEAD = "lm_head.weight";

const moduleOfWeight = (weight: string): string => weight.replace(/\.weight$/, "");

/** The weight of the output head when it is one of its own; GPT-NeoX calls it as it does its embedding. */
export const headOf = ({ embedding, head }: Pick<AdaptedModel, "embedding" | "head">): string => {
  if (head !== embedding) return head;
  return embedding.endsWith("embed_in.weight") ? "embed_out.weight" : TIED_HEAD;
};

/**
 * The model as an adapter with these tensors knows it: from version 5 on Hugging Face's library calls every head `lm_head`, GPT-NeoX's
 * too, whose files call it otherwise.
 *
 * @returns with what a name there is in the model's files; undefined where there is no difference
 */
export function renamedFor(
  model: AdaptedModel,
  tensors: readonly string[],
): { readonly model: AdaptedModel; ownName(name: string): string } | undefined {
  const own = headOf(model);
  const theirs = moduleOfWeight(TIED_HEAD);
  if (own === TIED_HEAD || !tensors.some((name) => name.startsWith(`${theirs}.`))) return undefined;
  const weights = new Map([...model.weights].filter(([name]) => name !== own));
  weights.set(TIED_HEAD, model.weights.get(model.head) ?? []);
  return {
    model: { ...model, weights, head: TIED_HEAD },
    ownName: (name) => (name.split(".")[0] === theirs ? name.replace(theirs, moduleOfWeight(own)) : name),
  };
}

/** A module that carries factors, and what its own rank and scale are. */
export interface Site {
  readonly module: string;
  /** `[out, in]` of the change B A: of an embedding `[hidden, vocabulary]`, the transpose of its weight. */
  readonly shape: readonly [out: number | undefined, inputs: number | undefined];
  readonly embeds: boolean;
  readonly r: number;
  readonly scale: number;
}

/** What an adapter's configuration promises: modules with factors, and whole weights in place of the model's. */
export interface Promised {
  readonly sites: readonly Site[];
  readonly whole: ReadonlySet<string>;
}

/** Where factors may stand: without a model, wherever the file has some. */
export interface Place extends Pick<Site, "module" | "shape" | "embeds"> {
  /** Whether `all-linear` means it: any linear layer but the head. */
  readonly linear: boolean;
}

/** Every place of a model where PEFT can put factors. */
export function placesOf(model: AdaptedModel): Place[] {
  const [vocabulary, hidden] = model.weights.get(model.embedding) ?? [];
  const head = moduleOfWeight(headOf(model));
  return [
    ...[...model.linears].map(([module, shape]) => ({ module, shape, embeds: false, linear: true })),
    { module: moduleOfWeight(model.embedding), shape: [hidden, vocabulary], embeds: true, linear: false },
    { module: head, shape: [vocabulary, hidden], embeds: false, linear: false },
  ];
}

/**
 * What the configuration means for the places of a model.
 *
 * Source: PEFT's `check_target_module_exists` and `get_pattern_key` (0.21): a text must match a whole name, a name of a list is a name or
 * its last parts; rank and alpha are those of the first key, in the file's order, that matches a name or its last parts.
 *
 * @throws {BoosterError} `ADAPTER_CONFIG_INVALID` for an expression that cannot be read, `DEADLINE_EXCEEDED`
 */
export const promisedBy = (
  config: PeftConfig,
  places: readonly Place[],
  weights: Iterable<string>,
  where: string,
): Promised =>
  withinMatchingTime(() => {
    const isTarget = targeting(config, where);
    const [rankOf, alphaOf] = [
      valueIn(config.rank_pattern, "rank_pattern", where),
      valueIn(config.alpha_pattern, "alpha_pattern", where),
    ];
    const sites = places.filter(isTarget).map(({ module, shape, embeds }) => {
      const r = rankOf(module) ?? config.r;
      const alpha = alphaOf(module) ?? config.lora_alpha;
      return { module, shape, embeds, r, scale: loraScale({ r, alpha, useRslora: config.use_rslora ?? false }) };
    });
    const carried = new Set(sites.map(({ module }) => `${module}.bias`));
    const saved = config.modules_to_save ?? [];
    const whole = [...weights].filter(
      (name) =>
        ancestors(name).some((module) => saved.some((ending) => module.endsWith(ending))) ||
        (name.endsWith(".bias") && (config.bias === "all" || (config.bias === "lora_only" && carried.has(name)))),
    );
    return { sites, whole: new Set(whole) };
  });

/** The modules around a tensor: `a.b.weight` is in `a.b` and in `a`. */
const ancestors = (tensor: string): string[] => {
  const parts = tensor.split(".");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("."));
};

const endsIn = (module: string, names: readonly string[]): boolean =>
  names.some((name) => module === name || module.endsWith(`.${name}`));

function targeting(config: PeftConfig, where: string): (place: Place) => boolean {
  const { target_modules: targets, exclude_modules: excluded } = config;
  const read = (pattern: string, key: string) => pythonRegex(pattern, `${where}: ${key}`);
  const named = (modules: string | readonly string[], key: string): ((module: string) => boolean) =>
    typeof modules === "string" ? read(modules, key).whole : (module) => endsIn(module, modules);
  const isLeftOut = excluded ? named(excluded, "exclude_modules") : () => false;
  // Names that are saved whole are expressions here as well, and stand for all that is inside of them.
  const saved = (config.modules_to_save ?? []).map((name) => read(`(^|.*\\.)${name}($|\\..*)`, "modules_to_save"));
  const isMeant = targets === "all-linear" ? undefined : named(targets, "target_modules");
  const inLayers = layersOf(config, read);
  return ({ module, linear }) =>
    !isLeftOut(module) &&
    !saved.some((pattern) => pattern.match(module)) &&
    (isMeant?.(module) ?? linear) &&
    // A whole name says its layer itself.
    (typeof targets === "string" || targets.includes(module) || inLayers(module));
}

function layersOf(
  { layers_to_transform: chosen, layers_pattern: pattern }: PeftConfig,
  read: (pattern: string, key: string) => PythonPattern,
): (module: string) => boolean {
  const layers = [chosen ?? []].flat();
  if (layers.length === 0) return () => true;
  const given = [pattern ?? []].flat().filter((name) => name !== "");
  const before = given.length === 0 ? [".*?\\.[^.]*"] : given.map((name) => `(?:^|.*?\\.)${name}`);
  const patterns = before.map((start) => read(`${start}\\.(?P<layer>\\d+)\\.`, "layers_pattern"));
  return (module) => {
    const found = patterns.map((candidate) => candidate.match(module)).find((match) => match !== null);
    return layers.includes(Number(found?.groups?.layer));
  };
}

/** The value of the first key that is the name of a module, or its end. */
function valueIn<T>(
  pattern: readonly (readonly [string, T])[],
  key: string,
  where: string,
): (module: string) => T | undefined {
  const read = pattern.map(
    ([source, value]) => [pythonRegex(`(.*\\.)?(${source})$`, `${where}: ${key}`), value] as const,
  );
  return (module) => read.find(([expression]) => expression.match(module))?.[1];
}
