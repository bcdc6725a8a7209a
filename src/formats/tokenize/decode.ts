import { z } from "zod";
import { fromByteSymbols } from "./bytes.ts";
import { type MakePart, makePart, part } from "./parts.ts";
import { Pattern } from "./regex.ts";

/** Turns tokens into stretches of text, which are then joined. */
export type Decoder = (tokens: readonly string[]) => string[];

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strictUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Text of single bytes; where they are none, each becomes U+FFFD, as in Rust. */
function textOfBytes(bytes: readonly number[]): string {
  try {
    return strictUtf8.decode(Uint8Array.from(bytes));
  } catch {
    return "\uFFFD".repeat(bytes.length);
  }
}

/** The byte that a token of a vocabulary with byte fallback stands for. */
export function fallbackByte(token: string): number | undefined {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return hex === undefined ? undefined : Number.parseInt(hex, 16);
}

function fallBackToBytes(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) texts.push(textOfBytes(bytes));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = fallbackByte(token);
    if (byte !== undefined) bytes.push(byte);
    else {
      flush();
      texts.push(token);
    }
  }
  flush();
  return texts;
}

function stripped(token: string, content: string, start: number, stop: number): string {
  let [from, to] = [0, token.length];
  while (from < start && token[from] === content) from++;
  while (token.length - to < stop && to > from && token[to - 1] === content) to--;
  return token.slice(from, to);
}

const flag = z.boolean().optional();
const DECODERS: Readonly<Record<string, MakePart<Decoder>>> = {
  Sequence: part({ decoders: z.array(z.unknown()) }, ({ decoders }) => {
    const all = decoders.map((one) => makeDecoder(one));
    return (tokens) => all.reduce((done: readonly string[], next) => next(done), tokens) as string[];
  }),
  ByteLevel: part({ add_prefix_space: flag, trim_offsets: flag, use_regex: flag }, () => (tokens) => [
    utf8.decode(Buffer.concat(tokens.map(fromByteSymbols))),
  ]),
  ByteFallback: part({}, () => fallBackToBytes),
  Fuse: part({}, () => (tokens) => [tokens.join("")]),
  Strip: part(
    { content: z.string().length(1), start: z.int().nonnegative(), stop: z.int().nonnegative() },
    ({ content, start, stop }) =>
      (tokens) =>
        tokens.map((token) => stripped(token, content, start, stop)),
  ),
  Replace: part(
    { pattern: Pattern, content: z.string() },
    ({ pattern, content }) =>
      (tokens) =>
        tokens.map((token) => token.replace(pattern, () => content)),
  ),
  Metaspace: part(
    {
      replacement: z.string(),
      prepend_scheme: z.enum(["always", "never", "first"]).optional(),
      add_prefix_space: z.boolean().default(true),
      split: flag,
      str_rep: z.string().optional(),
    },
    ({ replacement, prepend_scheme, add_prefix_space }) => {
      const prepended = (prepend_scheme ?? (add_prefix_space ? "always" : "never")) !== "never";
      return (tokens) =>
        tokens.map((token, place) => token.replaceAll(replacement, place === 0 && prepended ? "" : " "));
    },
  ),
  BPEDecoder: part(
    { suffix: z.string().default("</w>") },
    ({ suffix }) =>
      (tokens) =>
        tokens.map((token, place) => token.replaceAll(suffix, place === tokens.length - 1 ? "" : " ")),
  ),
};

/** @throws {BoosterError} `TOKENIZER_UNSUPPORTED` */
export const makeDecoder = (description: unknown): Decoder =>
  makePart(DECODERS, "decoder", description) ?? ((tokens) => [tokens.join(" ")]);

const has = (description: unknown, type: string): boolean =>
  typeof description === "object" &&
  description !== null &&
  (("type" in description && description.type === type) || Object.values(description).some((part) => has(part, type)));

/** The bytes that a token adds to a text that has begun. Throws what `makeDecoder` throws. */
export function makeBytes(description: unknown): (token: string) => Uint8Array {
  if (has(description, "ByteLevel")) return fromByteSymbols;
  const [decode, fallsBack] = [makeDecoder(description), has(description, "ByteFallback")];
  const BEFORE = "a";
  return (token) => {
    const byte = fallsBack ? fallbackByte(token) : undefined;
    if (byte !== undefined) return Uint8Array.of(byte);
    return Buffer.from(decode([BEFORE, token]).join("").slice(BEFORE.length));
  };
}
