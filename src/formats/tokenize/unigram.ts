import { z } from "zod";
import type { WordModel } from "./model.ts";
import { part } from "./parts.ts";

/** What an unknown character costs beyond the least likely piece. */
const UNKNOWN_PENALTY = 10;

const shape = {
  vocab: z.array(z.tuple([z.string(), z.number()])).min(1),
  unk_id: z.int().nonnegative().nullish(),
  byte_fallback: z.boolean().default(false),
};

/**
 * The likeliest cut into pieces: `best[j] = max over pieces text[i..j) of best[i] + score(piece)`; neighbouring unknown
 * characters are one.
 *
 * Source: Kudo, Subword Regularization (ACL 2018); details as in Hugging Face's tokenizers.
 */
export const unigram = part(shape, ({ vocab: pieces, unk_id, byte_fallback }): WordModel => {
  const vocab = new Map(pieces.map(([piece], id) => [piece, id]));
  const scores = pieces.map(([, score]) => score);
  const longest = pieces.reduce((most, [piece]) => Math.max(most, piece.length), 1);
  const unknownScore =
    scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const unknown = unk_id ?? undefined;

  /** Where the piece that ends at each place of the text begins; 0 where none ends. */
  function bestCut(text: string): Int32Array {
    const best = new Float64Array(text.length + 1).fill(Number.NEGATIVE_INFINITY);
    const from = new Int32Array(text.length + 1).fill(-1);
    best[0] = 0;
    for (let start = 0; start < text.length; ) {
      const step = (text.codePointAt(start) as number) > 0xffff ? 2 : 1;
      const soFar = best[start] as number;
      let single = false;
      for (let end = start + step; end <= Math.min(text.length, start + longest); end++) {
        const id = vocab.get(text.slice(start, end));
        if (id === undefined) continue;
        single ||= end === start + step;
        const score = soFar + (scores[id] as number);
        if (score > (best[end] as number)) [best[end], from[end]] = [score, start];
      }
      if (!single && soFar + unknownScore > (best[start + step] as number)) {
        [best[start + step], from[start + step]] = [soFar + unknownScore, start];
      }
      start += step;
    }
    return from;
  }

  return {
    vocab,
    unknown,
    encode(text) {
      const from = bestCut(text);
      const words: { text: string; id: number | undefined }[] = [];
      for (let end = text.length; end > 0; end = from[end] as number) {
        const piece = text.slice(from[end], end);
        const [id, last] = [vocab.get(piece), words.at(-1)];
        if (id === undefined && last !== undefined && last.id === undefined) last.text = piece + last.text;
        else words.push({ text: piece, id });
      }
      return words.reverse().flatMap(({ text: word, id }) => {
        if (id !== undefined) return [id];
        const bytes = Array.from(Buffer.from(word), (byte) =>
          vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
        );
        if (byte_fallback && bytes.every((byte) => byte !== undefined)) return bytes as number[];
        return unknown === undefined ? [] : [unknown];
      });
    },
  };
});
