import { pipelineOf } from "../../src/experiments/pipeline.ts";

/** Settings of a method, with alignment options of its own where it has some. */
export type Settings = Readonly<Record<string, unknown>> & { readonly align?: Readonly<Record<string, unknown>> };

/** Steps of the second round: no value that matters stands further from its neighbour than a factor of 3. */
const FACTORS = [1 / 3, 3, 1 / Math.sqrt(3), Math.sqrt(3), 1 / 2, 2, 2 / 3, 1.5];

/** Two digits, as one would type it; or else a whole number, where that is still near. */
function typed(value: number, factor: number): number[] {
  const whole = Math.round(value * factor);
  const isNear = whole > 0 && whole <= 3 * value && whole >= value / 3;
  return [Number((value * factor).toPrecision(2)), ...(isNear ? [whole] : [])];
}

/** Numbers among the settings, those that the first round varied first. */
function numbersOf(tried: readonly Settings[], winner: Settings): string[] {
  const numeric = Object.keys(winner).filter((name) => typeof winner[name] === "number" && winner[name] !== 0);
  const varies = (name: string): boolean => new Set(tried.map((settings) => settings[name])).size > 1;
  return [...numeric.filter(varies), ...numeric.filter((name) => !varies(name))];
}

const fits = (name: string, { align: _, ...settings }: Settings): boolean => {
  try {
    pipelineOf({ name, ...settings });
    return true;
  } catch {
    return false;
  }
};

/**
 * The second round of a search: settings around the best of the first, one number changed in each, by a factor of at most 3. Where a
 * method has no number to change, the learning rate of its alignment.
 *
 * @param alignmentRate of the search, where a method has none of its own
 * @returns exactly `count`, so that every method is tried as often
 */
export function around(
  name: string,
  tried: readonly Settings[],
  winner: Settings,
  { count, alignmentRate }: { readonly count: number; readonly alignmentRate: number },
): Settings[] {
  const rate = Number(winner.align?.learningRate ?? alignmentRate);
  const near = [
    ...numbersOf(tried, winner).flatMap((setting) =>
      FACTORS.map((factor) =>
        typed(Number(winner[setting]), factor)
          .map((value): Settings => ({ ...winner, [setting]: value }))
          .find((settings) => fits(name, settings)),
      ),
    ),
    ...FACTORS.map((factor) => ({ ...winner, align: { ...winner.align, learningRate: typed(rate, factor)[0] } })),
  ].filter((settings) => settings !== undefined);
  const known = new Set(tried.map((settings) => JSON.stringify(settings)));
  const found: Settings[] = [];
  for (const settings of near) {
    const text = JSON.stringify(settings);
    if (found.length === count || known.has(text)) continue;
    known.add(text);
    found.push(settings);
  }
  if (found.length < count)
    throw new Error(`${name} has ${found.length} settings to try around the best, not ${count}`);
  return found;
}
