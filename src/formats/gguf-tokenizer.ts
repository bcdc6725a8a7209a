import { BoosterError } from "../errors.ts";
import type { TokenizerFiles } from "./tokenizer.ts";

/** Token types of GGUF's `tokenizer.ggml.token_type`. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
const { normal: NORMAL, unknown: UNKNOWN, control: CONTROL, userDefined: USER_DEFINED, byte: BYTE } = TOKEN_TYPES;

/** Ids of named tokens where a file does not say. */
const DEFAULT_IDS: Readonly<Record<"gpt2" | "llama", Readonly<Record<string, number>>>> = {
  gpt2: { bos: 11, eos: 11 },
  llama: { bos: 1, eos: 2, unknown: 0 },
};

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
/** Text is cut by each expression in turn: what matches and what is between. */
const cutBy = (...expressions: string[]) => ({
  type: "Sequence",
  pretokenizers: [
    ...expressions.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false })),
    BYTE_LEVEL,
  ],
});
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const BLANKS = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
export const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const words = (digits: string) =>
  `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${BLANKS}`;
/** Words end where a capital letter follows a small one. */
const casedWords = (contraction: string, digits: string) => {
  const [large, small] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
  const start = "[^\\r\\n\\p{L}\\p{N}]?";
  return `${start}${large}*${small}+${contraction}|${start}${large}+${small}*${contraction}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${BLANKS}`;
};
const deepseekWords = `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${BLANKS}`;
const bloomWords = " ?[^(\\s|.,!?…。，、।۔،)]+";

interface PreTokenizer {
  readonly cut: object;
  /** A piece that is a token as a whole is taken as it is. */
  readonly ignoreMerges?: boolean;
  /** Whether texts begin with the begin-of-sequence token where the file does not say. */
  readonly addsBos?: boolean;
}

/** Names of `tokenizer.ggml.pre` that mean the same. Source: llama.cpp's `llama-vocab.cpp`. */
const rows = (names: string, row: PreTokenizer) => names.split(" ").map((name) => [name, row] as const);
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ...rows("gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum modern-bert exaone4", {
    cut: cutBy(GPT2),
  }),
  ...rows("smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", { cut: cutBy("\\p{N}", GPT2) }),
  ...rows("llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {
    cut: cutBy(words("\\p{N}{1,3}")),
    ignoreMerges: true,
    addsBos: true,
  }),
  ...rows("dbrx smaug-bpe glm4 chatglm-bpe", { cut: cutBy(words("\\p{N}{1,3}")) }),
  ...rows("qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan solar-open grok-2 kormo", { cut: cutBy(words("\\p{N}")) }),
  ...rows("tekken", { cut: cutBy(casedWords("", "\\p{N}")), ignoreMerges: true, addsBos: true }),
  ...rows("gpt-4o llama4 kanana2 minimax-m2", { cut: cutBy(casedWords(`${CONTRACTION}?`, "\\p{N}{1,3}")) }),
  ...rows("deepseek-v3 hunyuan-dense joyai-llm", {
    cut: cutBy("\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", deepseekWords),
  }),
  ...rows("deepseek-coder", {
    cut: cutBy("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", "\\p{N}"),
  }),
  ...rows("falcon", { cut: cutBy("[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]") }),
  ...rows("default", { cut: cutBy("[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]") }),
  ...rows("bloom poro-chat gpt3-finnish", { cut: cutBy(bloomWords) }),
  ...rows("viking", { cut: cutBy(bloomWords, "\\p{N}") }),
]);

/** Tokens that end a turn or a text, whatever type a file gives them. Source: llama.cpp. */
const ENDS = new Set(
  "<|eot_id|> <|im_end|> <|end|> <end_of_turn> <|endoftext|> <|end_of_text|> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] </s> <eos> <end_of_utterance> <|return|> <｜end▁of▁sentence｜>".split(
    " ",
  ),
);

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
 * The merges that a SentencePiece model performs implicitly: every way to make a token of two, best score first; merges of
 * one score have one rank, so that the leftmost comes first.
 *
 * Source: SentencePiece BPE joins the neighbours whose joined piece has the highest score, leftmost first.
 */
export function mergesFromScores(tokens: readonly string[], scores: readonly number[], types: readonly number[]) {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const found: { pair: [string, string]; score: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    // Text is never joined into a token that stands for something else than its text.
    if (types[id] === CONTROL || types[id] === UNKNOWN || types[id] === BYTE) continue;
    const characters = Array.from(token);
    for (let cut = 1; cut < characters.length; cut++) {
      const pair: [string, string] = [characters.slice(0, cut).join(""), characters.slice(cut).join("")];
      if (ids.has(pair[0]) && ids.has(pair[1])) found.push({ pair, score: scores[id] ?? 0 });
    }
  }
  found.sort((a, b) => b.score - a.score);
  let rank = 0;
  const ranks = found.map(({ score }, place) => {
    if (place > 0 && score !== found[place - 1]?.score) rank++;
    return rank;
  });
  return { merges: found.map(({ pair }) => pair), ranks };
}

function byteLevelParts(metadata: Metadata, pre: PreTokenizer) {
  return {
    normalizer: null,
    pre_tokenizer: pre.cut,
    decoder: { type: "ByteLevel" },
    model: { merges: strings(metadata, "tokenizer.ggml.merges"), ignore_merges: pre.ignoreMerges ?? false },
  };
}

/** How the file's text is cut. A file that does not say is refused: every guess gives other tokens for some texts. */
function preTokenizerOf(metadata: Metadata): PreTokenizer {
  const name = metadata["tokenizer.ggml.pre"];
  const found = typeof name === "string" ? PRE_TOKENIZERS.get(name) : undefined;
  if (found !== undefined) return found;
  const problem =
    name === undefined
      ? "the GGUF file does not say how its tokenizer cuts text"
      : "this GGUF pre-tokenizer is not known";
  throw new BoosterError("TOKENIZER_UNSUPPORTED", problem, {
    expected: [...PRE_TOKENIZERS.keys()].join(", "),
    found: String(name),
    where: "tokenizer.ggml.pre",
    hint: "Use a model folder with a tokenizer.json, or a file that a newer llama.cpp converted.",
  });
}

function sentencePieceParts(metadata: Metadata, tokens: readonly string[], types: readonly number[]) {
  const prefix = metadata["tokenizer.ggml.add_space_prefix"] !== false;
  const scores = "tokenizer.ggml.scores" in metadata ? numbers(metadata, "tokenizer.ggml.scores") : [];
  const toBlank = { type: "Replace", pattern: { String: "▁" }, content: " " };
  const fromBlank = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const decoders = [toBlank, { type: "ByteFallback" }, { type: "Fuse" }];
  return {
    normalizer: {
      type: "Sequence",
      normalizers: prefix ? [{ type: "Prepend", prepend: "▁" }, fromBlank] : [fromBlank],
    },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: prefix ? [...decoders, { type: "Strip", content: " ", start: 1, stop: 0 }] : decoders,
    },
    model: { ...mergesFromScores(tokens, scores, types), byte_fallback: true, fuse_unk: true },
  };
}

/** A post-processor that writes a token in front of every text: for others who read the files. */
const beginningWith = (token: string, id: number) => ({
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
});

/**
 * Turns the tokenizer of a GGUF file into the equivalent Hugging Face files.
 *
 * `tokenizer.ggml.model` `gpt2` is byte-level BPE, `llama` is SentencePiece BPE with byte fallback. What the file does not say
 * is as llama.cpp has it.
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
  const told =
    "tokenizer.ggml.token_type" in metadata ? numbers(metadata, "tokenizer.ggml.token_type") : tokens.map(() => NORMAL);
  if (told.length !== tokens.length) throw malformed("tokenizer.ggml.token_type", `${tokens.length} entries`);
  const types = told.map((type, id) => (ENDS.has(tokens[id] as string) ? CONTROL : type));
  const pre = kind === "gpt2" ? preTokenizerOf(metadata) : undefined;
  const { model, ...parts } =
    pre === undefined ? sentencePieceParts(metadata, tokens, types) : byteLevelParts(metadata, pre);

  const idAt = (name: string): number | undefined => {
    const id = metadata[`tokenizer.ggml.${name}_token_id`];
    if (id !== undefined) return Number(id);
    // llama.cpp's defaults; those of gpt2 are Falcon's, and in other vocabularies an ordinary word.
    const standard = DEFAULT_IDS[kind][name];
    return standard !== undefined && (kind === "llama" || types[standard] === CONTROL) ? standard : undefined;
  };
  const tokenAt = (name: string): string | null => tokens[idAt(name) ?? -1] ?? null;
  const { "tokenizer.chat_template": template, "tokenizer.chat_template.tool_use": tools } = metadata;
  /** An ordinary word that pads is a word nevertheless. */
  const specialAt = (name: string) => (types[idAt(name) ?? -1] === NORMAL ? null : tokenAt(name));
  const bos = tokenAt("bos");
  const addsBos = metadata["tokenizer.ggml.add_bos_token"] ?? pre?.addsBos ?? kind === "llama";
  const ends = tokens.flatMap((token, id) => (ENDS.has(token) ? [id] : []));
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN;
    // User-defined SentencePiece tokens are stored with ▁ for a blank, so they must be found in normalised text.
    return special || types[id] === USER_DEFINED ? [{ id, content, special, normalized: !special }] : [];
  });
  return {
    json: {
      ...parts,
      post_processor: addsBos && bos !== null ? beginningWith(bos, tokens.indexOf(bos)) : null,
      added_tokens: added,
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        unk_token: kind === "llama" ? tokenAt("unknown") : null,
        ...model,
      },
    },
    config: {
      bos_token: bos,
      eos_token: tokenAt("eos"),
      pad_token: specialAt("padding"),
      unk_token: specialAt("unknown"),
      add_bos_token: addsBos,
      chat_template: template === undefined || tools === undefined ? template : { default: template, tool_use: tools },
    },
    // With a chat template, that says where a turn ends.
    eosIds: [idAt("eot"), idAt("eom"), ...("tokenizer.chat_template" in metadata ? [] : ends)].filter(
      (id) => id !== undefined,
    ),
  };
}
