import { entriesOf, Float } from "../exact-json.ts";
import { Text } from "./text.ts";
import { Dict, List, type Value } from "./values.ts";

/** Data as a template sees it, and the strings in it by number: the sources of what the template writes. */
export class TemplateData {
  readonly strings: string[] = [];
  /** In all of them. */
  characters = 0;

  /** JSON as Python has it: whole numbers are integers, but for those that were written as floats. */
  value(json: unknown): Value {
    if (typeof json === "string") {
      this.characters += json.length;
      return Text.from(json, this.strings.push(json) - 1);
    }
    if (typeof json === "number") return Number.isInteger(json) ? BigInt(json) : json;
    if (json instanceof Float) return Number(json);
    if (typeof json === "boolean" || typeof json === "bigint") return json;
    if (Array.isArray(json)) return new List(json.map((item) => this.value(item)));
    if (typeof json !== "object" || json === null) return null;
    return new Dict(entriesOf(json).map(([key, item]) => [this.value(key), this.value(item)] as const));
  }
}
