import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { bpe } from "./bpe.ts";
import { Vocabulary, type WordModel } from "./model.ts";
import { type MakePart, makePart, part } from "./parts.ts";
import { unigram } from "./unigram.ts";

/** Every word is a token, or the unknown one. */
const wordLevel = part({ vocab: Vocabulary, unk_token: z.string() }, ({ vocab, unk_token }): WordModel => {
  const unknown = vocab.get(unk_token);
  return {
    vocab,
    unknown,
    encode(word) {
      const id = vocab.get(word) ?? unknown;
      if (id !== undefined) return [id];
      throw new BoosterError("TOKEN_UNKNOWN", "the tokenizer knows neither a word nor a token for unknown words", {
        expected: unk_token,
      });
    },
  };
});

const MODELS: Readonly<Record<string, MakePart<WordModel>>> = { BPE: bpe, WordLevel: wordLevel, Unigram: unigram };

/** Old files do not name their model: then it is BPE. @throws {BoosterError} `TOKENIZER_UNSUPPORTED` */
export const makeModel = (description: Readonly<Record<string, unknown>>): WordModel =>
  makePart(MODELS, "model", { type: "BPE", ...description }) as WordModel;
