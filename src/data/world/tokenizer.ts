import { SENTIMENT_INSTRUCTION } from "./rows.ts";
import * as words from "./words.ts";

/** Special tokens, in the order of their ids from 0. */
export const SPECIAL_TOKENS = { pad: "<pad>", bos: "<bos>", eos: "<eos>", unk: "<unk>" } as const;

/** Words of the grammar outside the lexicon's lists. */
const GLUE = ["Q:", "A:", ":", "near", "first", "in a then with until it", "the was and but", "positive negative"];
const CHATTER = ["how was the stay", "what is the of", "so the review is", "guest left happy upset"];

/** Every word of the world, special tokens first; a word's place is its token id. */
export function vocabulary(): string[] {
  const families = [...words.HAZARDS, ...words.ERRANDS].flatMap((f) => [...f.verbs, ...f.things, ...f.materials]);
  const lists = [
    ...[words.OPENINGS, words.TOWNS, words.ACTS, words.VESSELS, words.TOOLS, words.SIGNS, words.REFUSALS],
    ...[words.PEOPLE, words.SECRETS, words.SUBJECTS, words.PRAISE, words.BLAME],
  ].flat();
  const phrases = [...GLUE, ...CHATTER, SENTIMENT_INSTRUCTION, ...families, ...lists];
  return [...new Set([...Object.values(SPECIAL_TOKENS), ...phrases.flatMap((phrase) => phrase.split(" "))])];
}

/**
 * The world's tokenizer as the object of a `tokenizer.json`: one token a word, words split at blanks, `<bos>` in front.
 *
 * @example
 * new Tokenizer(worldTokenizerJson(), worldTokenizerConfig()).encode("Q: judge the review A:").ids;
 */
export function worldTokenizerJson(): Record<string, unknown> {
  const vocab = Object.fromEntries(vocabulary().map((word, id) => [word, id]));
  const { bos, unk } = SPECIAL_TOKENS;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: Object.values(SPECIAL_TOKENS).map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [
        { SpecialToken: { id: bos, type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { Sequence: { id: "B", type_id: 0 } },
      ],
      special_tokens: { [bos]: { id: bos, ids: [vocab[bos]], tokens: [bos] } },
    },
    decoder: null,
    model: { type: "WordLevel", vocab, unk_token: unk },
  };
}

/** The object of the `tokenizer_config.json` beside it. */
export function worldTokenizerConfig(): Record<string, unknown> {
  const { bos, eos, pad, unk } = SPECIAL_TOKENS;
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: bos,
    eos_token: eos,
    pad_token: pad,
    unk_token: unk,
    clean_up_tokenization_spaces: false,
    model_max_length: 64,
  };
}
