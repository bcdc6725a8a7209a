import { describe, expect, test } from "vitest";
import { ggufTokenizerFiles } from "./gguf-tokenizer.ts";
import { createTokenizer } from "./tokenizer.ts";
import { leadingId } from "./tokenizer-lead.ts";

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
  const lists = { "tokenizer.ggml.tokens": [], "tokenizer.ggml.token_type": [], "tokenizer.ggml.pre": "nonsense" };
  expect(() => ggufTokenizerFiles({ "tokenizer.ggml.model": "gpt2", ...lists })).toThrow(/smollm.*found nonsense/);
});

test("lists of the wrong kind are refused", () => {
  expect(() => ggufTokenizerFiles({ ...spm, "tokenizer.ggml.tokens": [1, 2] })).toThrow(/tokenizer.ggml.tokens/);
  expect(() => ggufTokenizerFiles({ ...spm, "tokenizer.ggml.token_type": [1] })).toThrow(/token_type/);
});

describe("byte-level BPE", () => {
  const letters = ["1", "2", "3", "4", "5", "I", "'", "L", "x", "Ġ", "Ċ"];
  const merges = ["1 2", "12 3", "123 4", "1234 5", "' L", "'L L", "I 'LL", "Ġ x", "Ċ Ċ", "ĊĊ x"];
  const vocabulary = [...letters, ...merges.map((merge) => merge.replace(" ", ""))];
  const cut = (pre: string, text: string) => {
    const tokenizer = createTokenizer(
      ggufTokenizerFiles({
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.token_type": vocabulary.map(() => 1),
        "tokenizer.ggml.merges": merges,
      }),
    );
    return tokenizer.encode(text).map((id) => tokenizer.tokenOf(id));
  };

  test.each([
    ["gpt-2", ["12345", "Ġx"]],
    ["smollm", ["1", "2", "3", "4", "5", "Ġx"]],
    ["qwen2", ["1", "2", "3", "4", "5", "Ġx"]],
    ["llama-bpe", ["123", "4", "5", "Ġx"]],
  ])("%s cuts numbers its own way", (pre, tokens) => {
    expect(cut(pre, "12345 x")).toEqual(tokens);
  });

  test("contractions and line breaks", () => {
    for (const pre of ["qwen2", "llama-bpe"]) {
      expect(cut(pre, "I'LL")).toEqual(["I", "'LL"]);
      expect(cut(pre, "\n\nx")).toEqual(["ĊĊ", "x"]);
    }
  });
});

describe("what a file does not say is as llama.cpp has it", () => {
  const tokens = ["a", "b", "<bos>"];
  const file = (more: object) => ({
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": [1, 1, 3],
    "tokenizer.ggml.merges": [],
    "tokenizer.ggml.bos_token_id": 2,
    ...more,
  });
  const make = (more: object) => createTokenizer(ggufTokenizerFiles(file(more)));

  test("whether texts begin with the begin-of-sequence token", () => {
    for (const pre of ["llama-bpe", "llama3", "llama-v3", "tekken"]) {
      expect(make({ "tokenizer.ggml.pre": pre }).addsBos).toBe(true);
    }
    for (const pre of ["gpt-2", "smollm", "qwen2", "deepseek-r1-qwen", "default"]) {
      expect(make({ "tokenizer.ggml.pre": pre }).addsBos).toBe(false);
    }
    expect(make({ "tokenizer.ggml.add_bos_token": false }).addsBos).toBe(false);
  });

  test("the end of a sequence only where the default id is a control token", () => {
    expect(make({}).eosIds).toEqual([]);
    const { "tokenizer.ggml.bos_token_id": _b, "tokenizer.ggml.eos_token_id": _e, ...bare } = spm;
    expect(createTokenizer(ggufTokenizerFiles(bare))).toMatchObject({ bosId: 1, eosIds: [2] });
  });

  test("tokens without types are ordinary ones, without scores equal ones", () => {
    const { "tokenizer.ggml.token_type": _t, "tokenizer.ggml.scores": _s, ...bare } = spm;
    expect(createTokenizer(ggufTokenizerFiles(bare)).encode("an")).toHaveLength(2);
  });

  test("tokens that end a turn are special whatever their type, and end answers where no template says otherwise", () => {
    const more = { "tokenizer.ggml.tokens": ["a", "<|im_end|>", "<bos>"] };
    const tokenizer = make(more);
    expect(tokenizer).toMatchObject({ eosIds: [1] });
    expect(tokenizer.encode("a<|im_end|>", { allowSpecial: true })).toEqual([0, 1]);
    expect(make({ ...more, "tokenizer.chat_template": "{{ messages[1].content }}" }).eosIds).toEqual([]);
  });

  test("how text is cut must be said", () => {
    expect(() => make({ "tokenizer.ggml.pre": undefined })).toThrow(/does not say how its tokenizer cuts text/);
  });
});

test("a template for tools, an ordinary word that pads, and BOS in the files for others", () => {
  const templates = { "tokenizer.chat_template": "a", "tokenizer.chat_template.tool_use": "b" };
  const files = ggufTokenizerFiles({ ...spm, ...templates, "tokenizer.ggml.padding_token_id": tokens.indexOf("ba") });
  const tokenizer = createTokenizer(files);
  expect(tokenizer).toMatchObject({ chatTemplate: "a", toolTemplate: "b" });
  expect(tokenizer.encode("ba")).toEqual(createTokenizer(ggufTokenizerFiles(spm)).encode("ba"));
  expect(leadingId((files.json as { post_processor?: unknown }).post_processor)).toBe(1);
  const none = ggufTokenizerFiles({ ...spm, "tokenizer.ggml.add_bos_token": false });
  expect(leadingId((none.json as { post_processor?: unknown }).post_processor)).toBeUndefined();
});
