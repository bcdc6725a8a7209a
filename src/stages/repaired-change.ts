import { BoosterError } from "../errors.ts";
import { differenceOf, sumOf } from "../models/adapter-sum.ts";
import type { LoraAdapter } from "../models/adapters.ts";
import type { LoadedModel } from "../models/index.ts";
import { readChain } from "../models/load.ts";
import type { AdapterLink } from "../models/model-file.ts";
import type { RepairOptions } from "./options.ts";
import type { Origin } from "./workbench.ts";

/** What a repair changes, by the adapters that say so. */
export interface Change {
  /** All adapters of the model without the change: the aligned one, or the base where the alignment itself is changed. */
  readonly aligned: readonly AdapterLink[];
  /** What the model has beyond that, and what it no longer has since training went on with it. */
  readonly gained: readonly AdapterLink[];
  readonly lost: readonly AdapterLink[];
}

/**
 * The change that is repaired: what a model has beyond its alignment. Where it is no more than aligned, and where nobody has said what
 * its alignment is, the last adapter.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`
 */
export function changeOf(
  { adapters: given, adapterPolicy }: Pick<RepairOptions, "adapters" | "adapterPolicy">,
  { adapters, alignment, base }: Pick<Origin, "adapters" | "alignment" | "base">,
): Change {
  const last = adapters.at(-1);
  if (last === undefined) {
    throw new BoosterError("OPTIONS_CONFLICT", "this model has no adapter that could be repaired", {
      where: base.path,
      hint: "Give the run of a fine-tuning, or adapters on top of the model.",
    });
  }
  const below = adapters.slice(0, -1);
  if (given.length > 0 && adapterPolicy === "continue") {
    if (below.length === 0) {
      throw new BoosterError("OPTIONS_CONFLICT", "an adapter that was continued needs the one that it goes on from", {
        found: "one adapter",
        where: "adapters",
        hint: "Give both, the continued one last, or adapterPolicy: merge-and-fresh.",
      });
    }
    return { aligned: below, gained: [last], lost: below.slice(-1) };
  }
  const common = alignment.findIndex(({ sha256 }, i) => sha256 !== adapters[i]?.sha256);
  const from = common === -1 ? alignment.length : common;
  if (given.length > 0 || from === adapters.length) return { aligned: below, gained: [last], lost: [] };
  return { aligned: alignment, gained: adapters.slice(from), lost: alignment.slice(from) };
}

/** Whether the change is no adapter of its own, so that its factors are nobody's. */
export const isDifference = ({ gained, lost }: Change): boolean => gained.length !== 1 || lost.length > 0;

/** The change as an adapter on the aligned model. Throws what `readChain` throws. */
export function readChange({ model }: LoadedModel, base: string, { aligned, gained, lost }: Change): LoraAdapter {
  const kept = aligned.slice(0, aligned.length - lost.length);
  const sum = (own: readonly AdapterLink[]): LoraAdapter | undefined => {
    const [first, ...rest] = readChain(model, base, [...kept, ...own]).slice(kept.length);
    return first && sumOf([first, ...rest]);
  };
  const [after, before] = [sum(gained) as LoraAdapter, sum(lost)];
  return before === undefined ? after : differenceOf(after, before);
}
