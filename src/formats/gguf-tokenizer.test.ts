import { describe, expect, test } from "vitest";
import { ggufTokenizerFiles } from "./gguf-tokenizer.ts";
import { createTokenizer } from "./tokenizer.ts";

/** SentencePiece BPE in its plainest form: join the neighbours with the best score until none can be joined. */
function sentencePiece(tokens: readonly string[], scores: readonly number[], text: string): number[] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const parts = Array.from(`▁${text.replaceAll(" ", "▁")}`);
  for (;;) {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let i = 0; i + 1 < parts.length; i++) {
      const id = ids.get(`${parts[i]}${parts[i + 1]}`);
      if (id !== undefined && (scores[id] ?? 0) > bestScore) [best, bestScore] = [i, scores[id] ?? 0];
    }
    if (best < 0) break;
    parts.splice(best, 2, `${parts[best]}${parts[best + 1]}`);
  }
  return parts.flatMap((part) => {
    const id = ids.get(part);
    return id === undefined ? Array.from(Buffer.from(part), (byte) => 3 + byte) : [id];
  });
}

const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
const pieces = ["▁", "a", "b", "n", "▁a", "an", "ana", "▁b", "ba", "▁ba", "nan", "na"];
const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...pieces];
const spm = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": tokens,
  "tokenizer.ggml.scores": tokens.map((_, id) => (id < 259 ? 0 : 250 - id)),
  "tokenizer.ggml.token_type": tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)),
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
  "tokenizer.ggml.unknown_token_id": 0,
};

describe("SentencePiece", () => {
  const tokenizer = createTokenizer(ggufTokenizerFiles(spm));
  test.each(["banana", "an anna bana", "ab\nb", "ба ana", "  nan  a"])("%j is cut as SentencePiece cuts it", (text) => {
    const ids = tokenizer.encode(text);
    expect(ids).toEqual(sentencePiece(tokens, spm["tokenizer.ggml.scores"], text));
    expect(tokenizer.decode(ids)).toBe(text);
  });

  test("begin and end of sequence", () => {
    expect(tokenizer).toMatchObject({ bosId: 1, eosIds: [2], addsBos: true, vocabSize: tokens.length });
    expect(tokenizer.encode("a", { addBos: true })[0]).toBe(1);
    expect(tokenizer.encode("<s>")).not.toContain(1);
  });
});

test("an unknown kind or pre-tokenizer is named", () => {
  expect(() => ggufTokenizerFiles({ "tokenizer.ggml.model": "rwkv" })).toThrow(/gpt2, llama; found rwkv/);
  const lists = { "tokenizer.ggml.tokens": [], "tokenizer.ggml.token_type": [], "tokenizer.ggml.pre": "dbrx" };
  expect(() => ggufTokenizerFiles({ "tokenizer.ggml.model": "gpt2", ...lists })).toThrow(/smollm.*found dbrx/);
});

test("lists of the wrong kind are refused", () => {
  expect(() => ggufTokenizerFiles({ ...spm, "tokenizer.ggml.tokens": [1, 2] })).toThrow(/tokenizer.ggml.tokens/);
  expect(() => ggufTokenizerFiles({ ...spm, "tokenizer.ggml.token_type": [1] })).toThrow(/token_type/);
});
