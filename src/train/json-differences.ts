/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * The same text for the same value, in whatever order its keys were written: what is hashed.
 *
 * @example
 * sortedJson({ lambda: 5, alpha: 0.1 }); // '{"alpha":0.1,"lambda":5}'
 */
export const sortedJson = (value: Json): string =>
  JSON.stringify(value, (_, inner: Json) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );

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
  const [was, is] = [before, after].map((value) => (value === undefined ? "absent" : sortedJson(value)));
  return was === is ? [] : [`${path} was ${was}, is now ${is}`];
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
