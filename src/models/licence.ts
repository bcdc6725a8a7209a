import { existsSync } from "node:fs";
import { readSmallFile } from "../formats/byte-source.ts";

/** Cards of real models have some ten kilobytes. */
const MAX_CARD_BYTES = 4_000_000;
/** Identifiers of the hub, and names of licences: nothing that could be more than a word or two. */
const NAME = /^[\w .()+-]{1,100}$/;

/** A name that may stand in a card of ours, or none. */
export const licenceName = (name: unknown): string | undefined =>
  typeof name === "string" && NAME.test(name.trim()) ? name.trim() : undefined;

/**
 * The licence that the metadata of a model's card name; undefined where there is no card, or where it names none.
 *
 * @example
 * licenceIn("models/smollm2/README.md"); // "apache-2.0"
 */
export function licenceIn(card: string): string | undefined {
  if (!existsSync(card)) return undefined;
  const text = new TextDecoder().decode(readSmallFile(card, MAX_CARD_BYTES));
  const [, metadata = ""] = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\s*(?:\n|$)/.exec(text) ?? [];
  const named = (key: string) =>
    licenceName(new RegExp(`^${key}:[ \\t]*["']?(.*?)["']?[ \\t]*$`, "m").exec(metadata)?.[1]);
  const licence = named("license");
  // The hub's word for one that it does not know.
  return licence === "other" ? (named("license_name") ?? licence) : licence;
}
