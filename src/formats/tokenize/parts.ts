import { z } from "zod";
import { BoosterError } from "../../errors.ts";

/** Makes one part of a tokenizer (a normalizer, a pre-tokenizer, a decoder) from its description in `tokenizer.json`. */
export type MakePart<Made> = (description: unknown) => Made;

/** A row of a table of parts: the description's keys, all of which are understood, and what is made of them. */
export function part<Shape extends z.ZodRawShape, Made>(
  shape: Shape,
  make: (description: z.output<z.ZodObject<Shape>>) => Made,
): MakePart<Made> {
  const schema = z.strictObject({ type: z.string(), ...shape });
  return (description) => make(schema.parse(description) as z.output<z.ZodObject<Shape>>);
}

const Typed = z.looseObject({ type: z.string() });

/**
 * Makes a part by the table of its kind; null makes nothing.
 *
 * @throws {BoosterError} `TOKENIZER_UNSUPPORTED` naming the type
 */
export function makePart<Made>(table: Readonly<Record<string, MakePart<Made>>>, kind: string, description: unknown) {
  if (description === null || description === undefined) return undefined;
  const { type } = Typed.parse(description);
  const make = Object.hasOwn(table, type) ? table[type] : undefined;
  if (make !== undefined) return make(description);
  throw new BoosterError("TOKENIZER_UNSUPPORTED", `this ${kind} of a tokenizer is not known`, {
    expected: Object.keys(table).join(", "),
    found: type,
    where: "tokenizer.json",
  });
}
