import { createHash } from "node:crypto";
import { BoosterError } from "../errors.ts";
import { exactJson } from "../formats/exact-json.ts";
import type { RandomStream } from "../tensor/random.ts";
import { findDuplicates, NEAR_DUPLICATE } from "./duplicates.ts";
import { type Example, questionOf } from "./examples.ts";

/** An example that was left out because its question stands elsewhere. */
export interface Removed {
  readonly where: string;
  readonly duplicateOf: string;
  /** 1: equal up to case, punctuation and blanks. */
  readonly similarity: number;
}

/** A set of examples with what was removed from it. */
export interface DataSet<T extends Example = Example> {
  readonly examples: readonly T[];
  readonly removed: readonly Removed[];
  /** SHA-256 of the examples in their order. */
  readonly sha256: string;
}

/** SHA-256 of examples in their order, one JSON line each; where they came from does not count. */
export function hashExamples(examples: readonly Example[]): string {
  const hash = createHash("sha256");
  for (const { where: _, ...content } of examples) hash.update(`${exactJson(content)}\n`);
  return hash.digest("hex");
}

/**
 * Makes named sets disjoint: an example goes when its question equals or nearly equals one of an earlier set, so the set
 * to keep whole (the test set) comes first. Repetitions within a set stay.
 *
 * @param sets from the one to keep whole to the one to give way
 * @param threshold Jaccard similarity of 5-character shingles from which on questions count as the same
 * @example
 * const { test, train } = disjointSets({ test: testRows, train: trainRows });
 */
export function disjointSets<K extends string, T extends Example>(
  sets: Readonly<Record<K, readonly T[]>>,
  threshold: number = NEAR_DUPLICATE,
): Record<K, DataSet<T>> {
  const names = Object.keys(sets) as K[];
  const all = names.flatMap((name) => sets[name].map((example) => ({ name, example })));
  const isSameSet = (a: number, b: number) => all[a]?.name === all[b]?.name;
  const questions = all.map(({ example }) => questionOf(example));
  const duplicates = new Map(findDuplicates(questions, threshold, isSameSet).map((found) => [found.index, found]));
  const results = names.map((name) => {
    const examples: T[] = [];
    const removed: Removed[] = [];
    for (const [index, member] of all.entries()) {
      if (member.name !== name) continue;
      const found = duplicates.get(index);
      if (found === undefined) examples.push(member.example);
      else {
        const duplicateOf = all[found.of]?.example.where ?? "";
        removed.push({ where: member.example.where, duplicateOf, similarity: found.similarity });
      }
    }
    return [name, { examples, removed, sha256: hashExamples(examples) }] as [K, DataSet<T>];
  });
  return Object.fromEntries(results) as Record<K, DataSet<T>>;
}

/**
 * Splits one pool (harmful questions, say) into disjoint sets of given sizes. Repeated and nearly repeated questions are
 * removed first, the rest is drawn in random order, so no question of one set has a likeness in another.
 *
 * @throws {BoosterError} `DATA_TOO_FEW_ROWS`
 * @example
 * const { sets } = splitPool(harmful, { attacker: 1000, defender: 2000, test: 1000 }, new RandomStream(42, "split"));
 */
export function splitPool<K extends string, T extends Example>(
  pool: readonly T[],
  sizes: Readonly<Record<K, number>>,
  order: RandomStream,
  threshold: number = NEAR_DUPLICATE,
): { readonly sets: Record<K, DataSet<T>>; readonly removed: readonly Removed[] } {
  const duplicates = findDuplicates(pool.map(questionOf), threshold);
  const gone = new Set(duplicates.map(({ index }) => index));
  const kept = pool.filter((_, index) => !gone.has(index));
  const names = Object.keys(sizes) as K[];
  const needed = names.reduce((sum, name) => sum + sizes[name], 0);
  if (kept.length < needed) {
    throw new BoosterError("DATA_TOO_FEW_ROWS", "the pool is too small for the sets", {
      expected: names.map((name) => `${name} ${sizes[name]}`).join(" + "),
      found: `${kept.length} different questions among ${pool.length} rows`,
    });
  }
  const drawn = Array.from(order.permutation(kept.length), (place) => kept[place] as T);
  const sets = names.map((name) => {
    const examples = drawn.splice(0, sizes[name]);
    return [name, { examples, removed: [], sha256: hashExamples(examples) }] as [K, DataSet<T>];
  });
  const removed = duplicates.map(({ index, of, similarity }) => ({
    where: pool[index]?.where ?? "",
    duplicateOf: pool[of]?.where ?? "",
    similarity,
  }));
  return { sets: Object.fromEntries(sets) as Record<K, DataSet<T>>, removed };
}
