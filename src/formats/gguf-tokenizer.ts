import { BoosterError } from "../errors.ts";
import type { TokenizerFiles } from "./tokenizer.ts";

/** Token types of GGUF's `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const splitBefore = (digits: string) => ({
  type: "Sequence",
  pretokenizers: [
    {
      type: "Split",
      pattern: {
        Regex: `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
      },
      behavior: "Isolated",
      invert: false,
    },
    { type: "ByteLevel", add_prefix_space: false, use_regex: false },
  ],
});
const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: true };

/** How text is cut before merging, by `tokenizer.ggml.pre`; one row a family. */
const PRE_TOKENIZERS: Readonly<Record<string, object>> = {
  "gpt-2": BYTE_LEVEL,
  smollm: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] },
  qwen2: splitBefore("\\p{N}"),
  "llama-bpe": splitBefore("\\p{N}{1,3}"),
};

type Metadata = Readonly<Record<string, unknown>>;

function malformed(key: string, expected: string): BoosterError {
  return new BoosterError("TOKENIZER_MALFORMED", "the GGUF file's tokenizer cannot be read", { expected, where: key });
}

function list<T>(metadata: Metadata, key: string, isEntry: (value: unknown) => value is T, kind: string): readonly T[] {
  const value = metadata[key];
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const values: unknown[] = Array.from(value as unknown as ArrayLike<unknown>);
    if (values.every(isEntry)) return values;
  }
  throw malformed(key, `a list of ${kind}`);
}
const strings = (metadata: Metadata, key: string) =>
  list(metadata, key, (value) => typeof value === "string", "strings");
const numbers = (metadata: Metadata, key: string) =>
  list(metadata, key, (value) => typeof value === "number", "numbers");

/**
 * The merges that a SentencePiece model performs implicitly: every way to make a token of two, best score first.
 *
 * Source: SentencePiece BPE joins the neighbours whose joined piece has the highest score, leftmost first.
 */
function mergesFromScores(tokens: readonly string[], scores: readonly number[]): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    const characters = Array.from(token);
    for (let cut = 1; cut < characters.length; cut++) {
      const pair: [string, string] = [characters.slice(0, cut).join(""), characters.slice(cut).join("")];
      const left = ids.get(pair[0]);
      const right = ids.get(pair[1]);
      if (left !== undefined && right !== undefined) merges.push({ pair, score: scores[id] ?? 0, left, right });
    }
  }
  return merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right).map(({ pair }) => pair);
}

function byteLevelParts(metadata: Metadata) {
  const pre = metadata["tokenizer.ggml.pre"] ?? "gpt-2";
  const preTokenizer = typeof pre === "string" && Object.hasOwn(PRE_TOKENIZERS, pre) ? PRE_TOKENIZERS[pre] : undefined;
  if (preTokenizer === undefined) {
    throw new BoosterError("TOKENIZER_UNSUPPORTED", "this GGUF pre-tokenizer is not known", {
      expected: Object.keys(PRE_TOKENIZERS).join(", "),
      found: String(pre),
      where: "tokenizer.ggml.pre",
      hint: "Use a model folder with a tokenizer.json.",
    });
  }
  return {
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { type: "ByteLevel" },
    merges: strings(metadata, "tokenizer.ggml.merges"),
    extra: { ignore_merges: pre === "llama-bpe" },
  };
}

function sentencePieceParts(metadata: Metadata, tokens: readonly string[]) {
  const prefix = metadata["tokenizer.ggml.add_space_prefix"] !== false;
  const toBlank = { type: "Replace", pattern: { String: "▁" }, content: " " };
  const fromBlank = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const decoders = [toBlank, { type: "ByteFallback" }, { type: "Fuse" }];
  return {
    normalizer: {
      type: "Sequence",
      normalizers: prefix ? [{ type: "Prepend", prepend: "▁" }, fromBlank] : [fromBlank],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: prefix ? [...decoders, { type: "Strip", content: " ", start: 1, stop: 0 }] : decoders,
    },
    merges: mergesFromScores(tokens, numbers(metadata, "tokenizer.ggml.scores")),
    extra: { byte_fallback: true, fuse_unk: true },
  };
}

/**
 * Turns the tokenizer of a GGUF file into the equivalent Hugging Face files.
 *
 * `tokenizer.ggml.model` `gpt2` is byte-level BPE, `llama` is SentencePiece BPE with byte fallback.
 *
 * @throws {BoosterError} `TOKENIZER_UNSUPPORTED`, `TOKENIZER_MALFORMED`
 * @example
 * const tokenizer = createTokenizer(ggufTokenizerFiles(metadata));
 */
export function ggufTokenizerFiles(metadata: Metadata): TokenizerFiles {
  const kind = metadata["tokenizer.ggml.model"];
  if (kind !== "gpt2" && kind !== "llama") {
    throw new BoosterError("TOKENIZER_UNSUPPORTED", "this kind of GGUF tokenizer is not known", {
      expected: "gpt2, llama",
      found: String(kind),
      where: "tokenizer.ggml.model",
      hint: "Use a model folder with a tokenizer.json.",
    });
  }
  const tokens = strings(metadata, "tokenizer.ggml.tokens");
  const types = numbers(metadata, "tokenizer.ggml.token_type");
  if (types.length !== tokens.length) throw malformed("tokenizer.ggml.token_type", `${tokens.length} entries`);
  const { merges, extra, ...parts } = kind === "gpt2" ? byteLevelParts(metadata) : sentencePieceParts(metadata, tokens);

  const idsAt = (name: string): number[] => {
    const id = metadata[`tokenizer.ggml.${name}_token_id`];
    return id === undefined ? [] : [Number(id)];
  };
  const tokenAt = (name: string): string | null => tokens[idsAt(name)[0] ?? -1] ?? null;
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN;
    // User-defined SentencePiece tokens are stored with ▁ for a blank, so they must be found in normalised text.
    return special || types[id] === USER_DEFINED ? [{ id, content, special, normalized: !special }] : [];
  });
  return {
    json: {
      ...parts,
      added_tokens: added,
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
        unk_token: kind === "llama" ? tokenAt("unknown") : null,
        ...extra,
      },
    },
    config: {
      bos_token: tokenAt("bos"),
      eos_token: tokenAt("eos"),
      pad_token: tokenAt("padding"),
      unk_token: tokenAt("unknown"),
      add_bos_token: metadata["tokenizer.ggml.add_bos_token"] ?? kind === "llama",
      chat_template: metadata["tokenizer.chat_template"],
    },
    eosIds: [...idsAt("eot"), ...idsAt("eom")],
  };
}
