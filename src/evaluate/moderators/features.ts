import type { Exchange } from "./moderator.ts";

/** Longer texts are cut here: what follows adds time, not evidence. */
const MAXIMUM_WORDS = 400;

const words = (text: string): string[] => (text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []).slice(0, MAXIMUM_WORDS);

/** FNV-1a, 32 bits, over UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/**
 * The active feature buckets of an exchange: single words and word pairs of the answer, single words of the prompt, each present or absent,
 * hashed into `buckets` places. Sorted, without repeats.
 *
 * Source: Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
 */
export function activeBuckets({ prompt, answer }: Exchange, buckets: number): Int32Array {
  const active = new Set<number>();
  const answered = words(answer);
  for (const [i, word] of answered.entries()) {
    active.add(hash(`a:${word}`) % buckets);
    const next = answered[i + 1];
    if (next !== undefined) active.add(hash(`b:${word} ${next}`) % buckets);
  }
  for (const word of words(prompt)) active.add(hash(`p:${word}`) % buckets);
  return Int32Array.from(active).sort();
}
