import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { MinHeap } from "./heap.ts";
import { ID_LIMIT, Vocabulary, type WordModel } from "./model.ts";
import { part } from "./parts.ts";

/** Ranks and places of characters are below this like ids, so that two of them fit into one exact number. */
const LIMIT = ID_LIMIT;
/** Longest word that is remembered, and how many. */
const CACHED_LENGTH = 256;
const CACHED_WORDS = 50_000;

const shape = {
  vocab: Vocabulary,
  /** `"a b"` or `["a", "b"]`; checked one by one below, which is faster for the hundreds of thousands that there are. */
  merges: z.custom<readonly unknown[]>((value) => Array.isArray(value) && value.length < LIMIT),
  /** Of each merge, where several have one rank: among these the leftmost is made first. Not in Hugging Face's files. */
  ranks: z.array(z.int().nonnegative().max(LIMIT)).optional(),
  dropout: z.union([z.null(), z.literal(0)]).optional(),
  unk_token: z.string().nullish(),
  continuing_subword_prefix: z.string().nullish(),
  end_of_word_suffix: z.string().nullish(),
  fuse_unk: z.boolean().default(false),
  byte_fallback: z.boolean().default(false),
  ignore_merges: z.boolean().default(false),
};

/**
 * Byte-pair encoding: `repeat: join the neighbours whose pair has the lowest rank, the leftmost of them first`.
 *
 * Source: Sennrich, Haddow, Birch, Neural Machine Translation of Rare Words with Subword Units (ACL 2016); details as in
 * Hugging Face's tokenizers.
 */
export const bpe = part(shape, (model): WordModel => {
  const { vocab } = model;
  const prefix = model.continuing_subword_prefix ?? "";
  const suffix = model.end_of_word_suffix ?? "";
  /** A pair of ids, as `left * LIMIT + right`, to what it becomes, as `rank * LIMIT + id`. */
  const merges = new Map<number, number>();
  for (const [place, merge] of model.merges.entries()) {
    const pair: readonly unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    const [left, right] = pair.map(String) as [string, string];
    const [a, b] = [vocab.get(left), vocab.get(right)];
    const made = a === undefined || b === undefined ? undefined : vocab.get(left + right.slice(prefix.length));
    if (a === undefined || b === undefined || made === undefined || pair.length !== 2) {
      throw new BoosterError("TOKENIZER_MALFORMED", "a merge of the tokenizer joins what its vocabulary lacks", {
        found: JSON.stringify(merge),
        where: `merge ${place}`,
      });
    }
    merges.set(a * LIMIT + b, (model.ranks?.[place] ?? place) * LIMIT + made);
  }
  const unknown = model.unk_token == null ? undefined : vocab.get(model.unk_token);
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );

  /**
   * Ids of single characters: unknown ones as bytes where all of these have a token, else as the unknown token. This comes when
   * the next known character does, behind bytes between them: so Hugging Face's models were trained.
   */
  function charactersOf(word: string): number[] {
    const characters = Array.from(word);
    const ids: number[] = [];
    let waiting: number | undefined;
    const flush = () => {
      if (waiting !== undefined) ids.push(waiting);
      waiting = undefined;
    };
    for (const [place, char] of characters.entries()) {
      const text = (place > 0 ? prefix : "") + char + (place === characters.length - 1 ? suffix : "");
      const id = vocab.get(text);
      if (id !== undefined) {
        flush();
        ids.push(id);
        continue;
      }
      const spelled = model.byte_fallback ? Array.from(Buffer.from(text), (byte) => bytes[byte]) : [undefined];
      if (spelled.every((byte) => byte !== undefined)) ids.push(...spelled);
      else {
        if (!model.fuse_unk) flush();
        waiting = unknown;
      }
    }
    flush();
    return ids;
  }

  function merged(ids: number[]): number[] {
    const next = ids.map((_, place) => place + 1);
    const previous = ids.map((_, place) => place - 1);
    const heap = new MinHeap();
    const at = (place: number) => merges.get((ids[place] as number) * LIMIT + (ids[next[place] as number] as number));
    const offer = (place: number) => {
      if (place < 0 || (next[place] as number) >= ids.length) return;
      const merge = at(place);
      if (merge !== undefined) heap.push(Math.floor(merge / LIMIT) * LIMIT + place);
    };
    for (let place = 0; place + 1 < ids.length; place++) offer(place);
    for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
      const place = top % LIMIT;
      const right = next[place] as number;
      if (ids[place] === -1 || right >= ids.length) continue;
      const merge = at(place);
      // A neighbour has changed since this pair was seen.
      if (merge === undefined || Math.floor(merge / LIMIT) !== Math.floor(top / LIMIT)) continue;
      ids[place] = merge % LIMIT;
      ids[right] = -1;
      next[place] = next[right] as number;
      if ((next[place] as number) < ids.length) previous[next[place] as number] = place;
      offer(previous[place] as number);
      offer(place);
    }
    return ids.filter((id) => id !== -1);
  }

  const known = new Map<string, readonly number[]>();
  return {
    vocab,
    unknown,
    encode(word) {
      const whole = model.ignore_merges ? vocab.get(word) : undefined;
      if (whole !== undefined) return [whole];
      const before = known.get(word);
      if (before !== undefined) return before;
      const ids = merged(charactersOf(word));
      if (word.length <= CACHED_LENGTH) {
        if (known.size >= CACHED_WORDS) known.clear();
        known.set(word, ids);
      }
      return ids;
    },
  };
});
