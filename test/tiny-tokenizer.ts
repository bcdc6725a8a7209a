import { createTokenizer, type Tokenizer } from "../src/formats/tokenizer.ts";

/** ChatML, as the templates of many models write it. */
export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** The printable stand-ins of byte-level BPE, in byte order. */
function byteSymbols(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
}

/** Files of a byte-level tokenizer made here: 3 special tokens, 256 bytes, a few merges, the ChatML template. */
export function tinyTokenizerFiles() {
  const merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ċ Ċ", "a n"];
  const specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
  const tokens = [...specials, ...byteSymbols(), ...merges.map((merge) => merge.replace(" ", ""))];
  return {
    json: {
      added_tokens: specials.map((content, id) => ({ id, content, special: true, normalized: false })),
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
    },
    config: {
      bos_token: "<|im_start|>",
      eos_token: "<|im_end|>",
      pad_token: { content: "<|im_end|>" },
      chat_template: CHATML,
    },
  };
}

export const tinyTokenizer = (): Tokenizer => createTokenizer(tinyTokenizerFiles());
