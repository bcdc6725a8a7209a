import { z } from "zod";
import { toByteSymbols } from "./bytes.ts";
import { type MakePart, makePart, part } from "./parts.ts";
import { Pattern } from "./regex.ts";

/** Rewrites a text before it is cut. */
export type Normalizer = (text: string) => string;

const form = (name: "NFC" | "NFD" | "NFKC" | "NFKD") => part({}, () => (text: string) => text.normalize(name));
const inTurn = (all: readonly Normalizer[]) => (text: string) => all.reduce((done, next) => next(done), text);

const NORMALIZERS: Readonly<Record<string, MakePart<Normalizer>>> = {
  Sequence: part({ normalizers: z.array(z.unknown()) }, ({ normalizers }) =>
    inTurn(normalizers.map((one) => makeNormalizer(one))),
  ),
  NFC: form("NFC"),
  NFD: form("NFD"),
  NFKC: form("NFKC"),
  NFKD: form("NFKD"),
  // Rust lowers each character alone, without the final form of sigma.
  Lowercase: part({}, () => (text) => Array.from(text, (char) => char.toLowerCase()).join("")),
  Strip: part(
    { strip_left: z.boolean(), strip_right: z.boolean() },
    ({ strip_left, strip_right }) =>
      (text) =>
        text
          .replace(strip_left ? /^\p{White_Space}+/u : /(?!)/, "")
          .replace(strip_right ? /(?<!\p{White_Space})\p{White_Space}+$/u : /(?!)/, ""),
  ),
  StripAccents: part({}, () => (text) => text.replace(/\p{M}/gu, "")),
  Prepend: part(
    { prepend: z.string() },
    ({ prepend }) =>
      (text) =>
        text === "" ? "" : prepend + text,
  ),
  Replace: part(
    { pattern: Pattern, content: z.string() },
    ({ pattern, content }) =>
      (text) =>
        text.replace(pattern, () => content),
  ),
  ByteLevel: part({}, () => toByteSymbols),
};

/** @throws {BoosterError} `TOKENIZER_UNSUPPORTED` */
export const makeNormalizer = (description: unknown): Normalizer =>
  makePart(NORMALIZERS, "normalizer", description) ?? ((text) => text);
