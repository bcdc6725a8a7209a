import { type Named, settingsBeside } from "../choice.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { METHODS } from "../methods/registry.ts";
import { OPTIMIZERS } from "../optim/index.ts";
import { compact } from "../report/format.ts";
import { GUARDS } from "../stages/guards.ts";
import { Attack, type ExperimentOptions, type SparseAttack } from "./options.ts";

const number = (value: number): string => value.toExponential().replace("e-0", "e-").replace("e+0", "");

const percent = (share: number): number => +(100 * share).toFixed(4);

const TABLES = { attack: ATTACKS, optimizer: OPTIMIZERS, method: METHODS, moderation: GUARDS };

/** A choice by name with settings of its own: `sgd`, `sgd momentum 0.9`. */
export const chosen = (option: keyof typeof TABLES, choice: Named): string =>
  [choice.name, ...Object.entries(settingsBeside(TABLES[option], choice)).flat().map(String)].join(" ");

/** What is varied most, in this order, and how it is called; the learning rate is told of every strength. */
const NAMES: { readonly [Option in keyof SparseAttack]: (value: NonNullable<SparseAttack[Option]>) => string } = {
  attack: (attack) => chosen("attack", attack),
  poisonRatio: (ratio) => `${percent(ratio)} % harmful`,
  sampleNumber: (rows) => `${rows} rows`,
  epochs: (epochs) => `${epochs} epochs`,
  steps: (steps) => `${steps} steps`,
  optimizer: (optimizer) => chosen("optimizer", optimizer),
  schedule: (kind) => kind,
  warmup: (share) => `${percent(share)} % warm-up`,
  tune: (what) => (what === "full" ? "all weights" : "LoRA"),
  loraRank: (rank) => `rank ${rank}`,
  loraAlpha: (alpha) => `alpha ${alpha}`,
  loraScale: (scale) => `scale ${scale}`,
  targetModules: (modules) => modules.join(" "),
  adapterPolicy: (policy) => policy,
  batchSize: (rows) => `batch ${rows}`,
  weightDecay: (decay) => `weight decay ${decay}`,
};

/** Any other option: what it is, and what it is set to. */
const described = (option: string, value: unknown): string => {
  const name = option.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  const text = option in TABLES ? chosen(option as keyof typeof TABLES, value as Named) : undefined;
  return `${name} ${text ?? (typeof value === "object" ? JSON.stringify(value) : String(value))}`;
};

/** A value of an option as one would type it. */
export const valueText = (value: unknown): string =>
  Array.isArray(value)
    ? value.map(valueText).join(" ")
    : typeof value === "object"
      ? JSON.stringify(value)
      : typeof value === "number"
        ? compact(value)
        : String(value);

/** The one option in which an attack differs from the first one listed; nothing where there are several or none. */
export function axisOf(first: Attack, attack: Attack): { axis?: { name: string; value: string } } {
  const differ = Object.entries(attack).filter(
    ([option, value]) => JSON.stringify(value) !== JSON.stringify(first[option as keyof Attack]),
  );
  const [only] = differ;
  return only === undefined || differ.length > 1 ? {} : { axis: { name: only[0], value: valueText(only[1]) } };
}

/**
 * An attack's name in tables and files: its label, or its learning rate and all that it says for itself.
 *
 * @example
 * strengthLabel(options, 0); // "lr 5e-5", or "lr 1e-2, sgd momentum 0.9, all weights"
 */
export function strengthLabel(options: Pick<ExperimentOptions, "strengths" | "attack">, index: number): string {
  const { label, learningRate = options.attack.learningRate, ...own } = options.strengths[index] ?? {};
  if (label !== undefined) return label;
  const names: Readonly<Record<string, ((value: never) => string) | undefined>> = NAMES;
  const places = Object.keys(NAMES);
  const place = (option: string): number => (places.includes(option) ? places.indexOf(option) : places.length);
  const rest = Object.entries(own).toSorted(([one], [other]) => place(one) - place(other));
  const rate = learningRate ?? Attack.shape.learningRate.def.defaultValue;
  return [
    `lr ${number(rate)}`,
    ...rest.map(([option, value]) => names[option]?.(value as never) ?? described(option, value)),
  ].join(", ");
}
