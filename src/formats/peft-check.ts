import { BoosterError } from "../errors.ts";
import type { PeftConfig } from "./peft-config.ts";
import {
  type AdaptedModel,
  headOf,
  type Place,
  type Promised,
  placesOf,
  promisedBy,
  type Site,
} from "./peft-modules.ts";

/** Names listed in a message before it only counts. */
const MAX_LISTED = 10;

/**
 * Whether the tensors of a file are those that its configuration promises: first names, then shapes.
 *
 * @param foreign keys without PEFT's prefix, and those that stand for a tensor which is there already
 * @throws {BoosterError} `ADAPTER_KEYS_MISMATCH`, `ADAPTER_SHAPE_MISMATCH`, and what `promisedBy` throws
 */
export function checkTensors(
  config: PeftConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  {
    foreign = [],
    model,
    where,
  }: { readonly foreign?: readonly string[]; readonly model?: AdaptedModel | undefined; readonly where: string },
): Promised {
  const weights = new Map(model?.weights);
  if (model !== undefined) weights.set(headOf(model), model.weights.get(model.head) ?? []);
  const places = model === undefined ? placesIn([...shapes.keys()]) : placesOf(model);
  const promised = withoutAbsentKinds(config, promisedBy(config, places, weights.keys(), where), shapes);
  const factors = promised.sites.flatMap((site) => tensorsOf(site, config));
  const expected = new Map<string, readonly (number | undefined)[]>(factors);
  for (const name of promised.whole) expected.set(name, weights.get(name) ?? []);
  const missing = [...expected.keys()].filter((name) => !shapes.has(name));
  const unexpected = [...foreign, ...[...shapes.keys()].filter((name) => !expected.has(name) && !weights.has(name))];
  if (missing.length > 0 || unexpected.length > 0 || factors.length === 0) {
    const lostBiases =
      missing.length > 0 && missing.every((name) => promised.whole.has(name) && name.endsWith(".bias"));
    throw new BoosterError("ADAPTER_KEYS_MISMATCH", "the adapter's tensors do not fit its modules", {
      expected: `the tensors of ${promised.sites.length} modules that ${textOf(config.target_modules)} means`,
      found: `missing: ${list(missing)}; unexpected: ${list(unexpected)}`,
      where,
      hint: lostBiases
        ? `Older PEFT lost the biases of bias: ${config.bias}. To go without them write "bias": "none" in adapter_config.json.`
        : "Is it an adapter of this base model? If it is, target_modules and layers_to_transform must say which modules it has.",
    });
  }
  for (const [name, shape] of shapes) {
    const wanted = expected.get(name) ?? weights.get(name) ?? [];
    if (shape.length === wanted.length && wanted.every((dim, axis) => dim === undefined || dim === shape[axis]))
      continue;
    throw new BoosterError("ADAPTER_SHAPE_MISMATCH", "a tensor of the adapter has the wrong shape", {
      expected: `[${wanted.map((dim) => dim ?? "any").join(", ")}]`,
      found: `[${shape.join(", ")}]`,
      where: `${where}: tensor ${name}`,
    });
  }
  return promised;
}

/**
 * An expression, or all-linear, often means more kinds of modules than carry factors: a kind of which the file has nothing stays as it is,
 * as in PEFT. One that it has in some places must be in all, or the adapter may be that of a model with fewer layers.
 */
function withoutAbsentKinds(config: PeftConfig, promised: Promised, shapes: ReadonlyMap<string, unknown>): Promised {
  if (typeof config.target_modules !== "string") return promised;
  const kindOf = ({ module }: Pick<Site, "module">) => module.split(".").at(-1);
  const there = new Set(placesIn([...shapes.keys()]).map(kindOf));
  return { ...promised, sites: promised.sites.filter((site) => there.has(kindOf(site))) };
}

const FACTOR = /^(.+)\.(?:lora_([AB])\.(?:weight|bias)|lora_(embedding)_[AB]|lora_magnitude_vector)$/;

/** The places that an adapter's own tensors speak of. */
function placesIn(names: readonly string[]): Place[] {
  const found = names.map((name) => FACTOR.exec(name)).filter((match) => match !== null);
  const embedded = new Set(found.filter((match) => match[3] !== undefined).map((match) => match[1]));
  const modules = new Set(found.map((match) => match[1] as string));
  return [...modules].map((module) => {
    const embeds = embedded.has(module);
    return { module, embeds, linear: !embeds, shape: [undefined, undefined] };
  });
}

/** Names and shapes of what a module carries. */
function tensorsOf(
  { module, embeds, r, shape: [out, inputs] }: Site,
  config: PeftConfig,
): [string, readonly (number | undefined)[]][] {
  const [a, b] = embeds ? ["lora_embedding_A", "lora_embedding_B"] : ["lora_A.weight", "lora_B.weight"];
  return [
    [`${module}.${a}`, [r, inputs]],
    [`${module}.${b}`, [out, r]],
    ...(config.lora_bias ? [[`${module}.lora_B.bias`, [out]] as [string, (number | undefined)[]]] : []),
    ...(config.use_dora ? [[`${module}.lora_magnitude_vector`, [out]] as [string, (number | undefined)[]]] : []),
  ];
}

const textOf = (modules: string | readonly string[]): string =>
  typeof modules === "string" ? `target_modules ${JSON.stringify(modules.slice(0, 200))}` : list(modules);

function list(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const shown = names.slice(0, MAX_LISTED).join(", ");
  return names.length > MAX_LISTED ? `${shown} and ${names.length - MAX_LISTED} more` : shown;
}
