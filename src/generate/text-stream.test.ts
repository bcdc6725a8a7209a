import { describe, expect, test } from "vitest";
import { tinyTokenizer } from "../../test/tiny-tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../formats/tokenizer.ts";
import { RandomStream } from "../tensor/random.ts";
import { TextStream } from "./text-stream.ts";

/** As Llama 2's: blanks are marks, unknown characters are bytes, and the text's first blank is dropped. */
function fallbackTokenizer(): Tokenizer {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const words = ["<unk>", "<s>", "</s>", ...bytes, "▁", "▁the", "▁a", "n", "d", "▁and", "\uFFFD", "é"];
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  const special = ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true }));
  const decoders = [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ];
  const model = { type: "BPE", vocab, merges: [], unk_token: "<unk>", byte_fallback: true };
  return createTokenizer({
    json: { added_tokens: special, decoder: { type: "Sequence", decoders }, model },
    config: { unk_token: "<unk>", eos_token: "</s>" },
  });
}

const all = [
  ["bytes", tinyTokenizer()],
  ["byte fallback", fallbackTokenizer()],
] as const;

describe.each(all)("%s", (_, tokenizer) => {
  const random = new RandomStream(9, "text stream");
  const draw = (run: number): number[] =>
    Array.from({ length: 1 + (run % 40) }, (_, i) => random.integer(1000 * run + i, tokenizer.vocabSize));
  const streamed = (ids: readonly number[], stops: readonly string[] = []) => {
    const stream = new TextStream(tokenizer, stops);
    const pieces: string[] = [];
    for (const id of ids) {
      pieces.push(stream.push(id));
      if (stream.isOver) break;
    }
    return [...pieces, stream.end()];
  };

  test("joined, the pieces are the whole text, whatever the ids", () => {
    for (let run = 0; run < 2000; run++) {
      const ids = draw(run);
      expect(streamed(ids).join("")).toBe(tokenizer.decode(ids, { skipSpecial: true }));
    }
  });

  test("a text ends before the first stop, and no piece of a stop is told", () => {
    for (let run = 0; run < 500; run++) {
      const ids = draw(run);
      const whole = tokenizer.decode(ids, { skipSpecial: true });
      const at = random.integer(run, whole.length + 1);
      const stops = [whole.slice(at, at + 1 + (run % 5)), "never there"].filter((stop) => stop !== "");
      const end = Math.min(
        ...stops.map((stop) => whole.indexOf(stop)).map((found) => (found < 0 ? whole.length : found)),
      );
      expect(streamed(ids, stops).join("")).toBe(whole.slice(0, end));
    }
  });

  test("text is told as soon as it is certain, and a character when it is whole", () => {
    const text = "and é 日 the end";
    const pieces = streamed(tokenizer.encode(text));
    expect(pieces.filter((piece) => piece !== "").length).toBeGreaterThan(3);
    expect(pieces.some((piece) => piece.includes("\uFFFD"))).toBe(false);
  });

  test("the bytes of tokens are those of the text", () => {
    const text = "and é 日 the";
    const bytes = Buffer.concat(tokenizer.encode(text).map((id) => tokenizer.bytesOf(id)));
    expect(bytes.toString().trim()).toBe(text);
    expect(tokenizer.bytesOf(tokenizer.vocabSize)).toHaveLength(0);
  });
});

test("a beginning of a stop that comes to nothing is told", () => {
  const tokenizer = tinyTokenizer();
  const stream = new TextStream(tokenizer, ["\n\nUser"]);
  const pieces = tokenizer.encode("a\n\nUse it\n\nUser: b").map((id) => stream.push(id));
  expect(pieces.join("")).toBe("a\n\nUse it");
  expect(stream.isOver).toBe(true);
  expect(stream.end()).toBe("");
});
