import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BoosterError } from "../errors.ts";
import { readSmallFile } from "./byte-source.ts";
import { ggufTokenizerFiles, TOKEN_TYPES } from "./gguf-tokenizer.ts";
import type { TokenizerFiles } from "./tokenizer.ts";

/** The largest vocabularies have 128 000 tokens. */
const MAX_BYTES = 16 * 2 ** 20;
const HEADER_BYTES = 4;
const [UNKNOWN, BOS, EOS, FIRST_BYTE, FIRST_PIECE] = [0, 1, 2, 3, 259];

/**
 * The tokenizer of a llama2.c checkpoint: `tokenizer.bin` beside it, or `tok512.bin` for a vocabulary of 512.
 *
 * @throws {BoosterError} `TOKENIZER_MISSING`, and as `readLlama2cTokenizer`
 */
export function llama2cTokenizerFiles(checkpoint: string, vocabulary: number): TokenizerFiles {
  const names = [`tok${vocabulary}.bin`, "tokenizer.bin"];
  const found = names.map((name) => join(dirname(checkpoint), name)).find((path) => existsSync(path));
  if (found !== undefined) return readLlama2cTokenizer(readSmallFile(found, MAX_BYTES), vocabulary, found);
  throw new BoosterError("TOKENIZER_MISSING", `${basename(checkpoint)} has no tokenizer beside it`, {
    expected: names.join(" or "),
    where: dirname(checkpoint),
  });
}

/**
 * A tokenizer.bin: SentencePiece's BPE, of which it holds scores and texts.
 *
 *     file = int32 longest token, then for each token: float32 score, int32 length, bytes
 *
 * Tokens 0 to 2 are unknown, begin and end, 3 to 258 single bytes. Source: `tokenizer.py` of https://github.com/karpathy/llama2.c.
 *
 * @throws {BoosterError} `TOKENIZER_MALFORMED`
 */
export function readLlama2cTokenizer(file: Uint8Array, vocabulary: number, where: string): TokenizerFiles {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const tokens: string[] = [];
  const scores: number[] = [];
  const cutOff = () =>
    new BoosterError("TOKENIZER_MALFORMED", "the tokenizer does not belong to the checkpoint, or is cut off", {
      expected: `${vocabulary} tokens`,
      found: `${tokens.length}, ${bytes.length} bytes`,
      where,
    });
  let at = HEADER_BYTES;
  while (tokens.length < vocabulary) {
    if (at + 8 > bytes.length) throw cutOff();
    const length = bytes.readInt32LE(at + 4);
    if (length < 0 || at + 8 + length > bytes.length) throw cutOff();
    const score = bytes.readFloatLE(at);
    scores.push(Number.isNaN(score) ? 0 : score);
    tokens.push(bytes.toString("utf8", at + 8, at + 8 + length));
    at += 8 + length;
  }
  if (at !== bytes.length) throw cutOff();
  const { unknown, control, byte, normal } = TOKEN_TYPES;
  const typeOf = (id: number) =>
    id === UNKNOWN ? unknown : id < FIRST_BYTE ? control : id < FIRST_PIECE ? byte : normal;
  return ggufTokenizerFiles({
    "tokenizer.ggml.model": "llama",
    // Blanks and the lines around <s> and </s> are there for printing.
    "tokenizer.ggml.tokens": tokens.map((token, id) =>
      id === BOS || id === EOS ? token.trim() : id < FIRST_PIECE ? token : token.replaceAll(" ", "▁"),
    ),
    "tokenizer.ggml.scores": scores,
    "tokenizer.ggml.token_type": tokens.map((_, id) => typeOf(id)),
  });
}
