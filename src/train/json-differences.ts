/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * Where two JSON values differ, one sentence a place.
 *
 * @example
 * jsonDifferences({ optimiser: { rate: 1 } }, { optimiser: { rate: 2 } }); // ["optimiser.rate was 1, is now 2"]
 */
export function jsonDifferences(before: Json | undefined, after: Json | undefined, path = ""): string[] {
  if (isObject(before) && isObject(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) => jsonDifferences(before[key], after[key], path === "" ? key : `${path}.${key}`));
  }
  const [was, is] = [JSON.stringify(before), JSON.stringify(after)];
  return was === is ? [] : [`${path} was ${was ?? "absent"}, is now ${is ?? "absent"}`];
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
