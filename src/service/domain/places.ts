/**
 * Whether a name from outside is a place in a folder, and no way out of it: parts with `/` between them, none of them `.`, `..` or empty.
 *
 * @example
 * isPlain("adapter/adapter_config.json"); // true
 * isPlain("adapter/../../x"); // false
 */
export const isPlain = (name: string): boolean =>
  !/[\\\p{Cc}]/u.test(name) && name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
