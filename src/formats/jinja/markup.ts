import { Markup, Text } from "./text.ts";
import { List, Tuple, type Value } from "./values.ts";

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };

/** A string as HTML writes it. */
export const escaped = (value: Text): Markup =>
  Markup.of(value.map((part) => part.replace(/[&<>'"]/g, (char) => HTML[char] as string)));

/** The same; what is HTML already stays. */
export const asHtml = (value: Text): Markup => (value instanceof Markup ? value : escaped(value));

/** What was made of a string, or several: HTML where that was. */
export function like<T extends Value>(self: Value, made: T): T | Value {
  if (!(self instanceof Markup)) return made;
  if (made instanceof Text) return Markup.of(made);
  if (made instanceof List) return new List(made.items.map((item) => like(self, item)));
  return made instanceof Tuple ? new Tuple(made.items.map((item) => like(self, item))) : made;
}
