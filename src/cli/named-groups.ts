import type { NamedOptions } from "./command.ts";

/** A group that chose a name from a table: where it stands, the name, its settings. */
export interface ChosenGroup {
  readonly path: readonly string[];
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * The groups of checked options that chose from a table; those that were left out are not there.
 *
 * @example
 * chosenGroups({ methods: [{ method: { name: "booster", lambda: 2 } }] }, "methods.*.method");
 * // [{ path: ["methods", "0", "method"], name: "booster", settings: { lambda: 2 } }]
 */
export function chosenGroups(options: unknown, group: NamedOptions["group"]): ChosenGroup[] {
  let places: { readonly path: readonly string[]; readonly value: unknown }[] = [{ path: [], value: options }];
  for (const key of group.split(".")) {
    places = places.flatMap(({ path, value }) => {
      if (typeof value !== "object" || value === null) return [];
      const entries = Object.entries(value).filter(([name]) => (key === "*" ? Array.isArray(value) : name === key));
      return entries.map(([name, member]) => ({ path: [...path, name], value: member as unknown }));
    });
  }
  return places.flatMap(({ path, value }) => {
    if (typeof value !== "object" || value === null || !("name" in value)) return [];
    const { name, ...settings } = value;
    return [{ path, name: String(name), settings }];
  });
}
