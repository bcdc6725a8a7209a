import { BoosterError } from "../errors.ts";
import { RandomStream } from "../tensor/random.ts";

/** How tokens are drawn. Filters act in this order: temperature, topK, topP. */
export interface Sampling {
  /** Logits are divided by it: below 1 is bolder, above 1 more varied. Greater than 0; for 0 leave sampling away. */
  readonly temperature: number;
  /** Only this many of the likeliest tokens. Default: all. */
  readonly topK?: number;
  /** Only the fewest likeliest tokens whose probability adds up to at least this, in (0, 1]. Default 1. */
  readonly topP?: number;
  /** Same seed, same answers: a token depends on (seed, choice, step) and the logits alone, not on the batch. */
  readonly seed: number;
}

/** @throws {BoosterError} `SAMPLING_INVALID` naming the field. */
export function checkSampling({ temperature, topK = 1, topP = 1 }: Sampling): void {
  const refuse = (where: string, expected: string, found: number) => {
    throw new BoosterError("SAMPLING_INVALID", "tokens cannot be drawn like this", {
      expected,
      found: String(found),
      where,
    });
  };
  if (!(temperature > 0 && temperature < Infinity)) {
    refuse("temperature", "a finite number above 0 (leave sampling away for the likeliest token)", temperature);
  }
  if (!(Number.isInteger(topK) && topK > 0)) refuse("topK", "a whole number above 0", topK);
  if (!(topP > 0 && topP <= 1)) refuse("topP", "a number above 0, at most 1", topP);
}

/** The random numbers of one answer: number `step` decides token `step`. */
export const rowStream = (seed: number, choice: number): RandomStream => new RandomStream(seed, `generate ${choice}`);

/** A token, and where they are asked for log-probabilities, natural, before temperature and filters. */
export interface Chosen {
  readonly token: number;
  readonly logprob?: number;
  /** Likeliest first. */
  readonly top?: readonly { readonly token: number; readonly logprob: number }[];
}

/** What makes tokens likelier or less likely than the model says. */
export interface Adjust {
  /** Taken once from the logit of each token that the answer has. */
  readonly presence?: number;
  /** Taken from it each time that the answer has it. */
  readonly frequency?: number;
  /** Added, by token. */
  readonly bias?: ReadonlyMap<number, number>;
}

/** A copy of the logits, with what is added to them; `counts` says how often the answer has each token. */
export function adjusted(
  logits: Float32Array,
  { presence = 0, frequency = 0, bias = new Map() }: Adjust,
  counts: ReadonlyMap<number, number>,
): Float32Array {
  const copy = logits.slice();
  const add = (id: number, value: number) => {
    copy[id] = (copy[id] as number) + value;
  };
  for (const [id, count] of counts) add(id, -presence - count * frequency);
  for (const [id, value] of bias) add(id, value);
  return copy;
}

/** The first of the largest logits. */
export function likeliestToken(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}

/** A token with its `log softmax(logits)`, and the likeliest `count` tokens with theirs. */
export function told(logits: Float32Array, token: number, count: number): Chosen {
  const largest = logits[likeliestToken(logits)] as number;
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp((logits[id] as number) - largest);
  const of = (id: number) => (logits[id] as number) - largest - Math.log(total);
  return { token, logprob: of(token), top: likeliest(logits, count).map((id) => ({ token: id, logprob: of(id) })) };
}

/**
 * Draws a token: `uniform` in [0, 1) picks from softmax(logits / temperature), cut by topK, then by topP.
 *
 * @throws {BoosterError} `NON_FINITE_LOGITS`
 * @example
 * sampleToken(logits, { temperature: 0.7, topP: 0.9, seed: 1 }, rowStream(1, row).uniform(step));
 */
export function sampleToken(logits: Float32Array, sampling: Sampling, uniform: number): number {
  const { temperature, topK = logits.length, topP = 1 } = sampling;
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) largest = Math.max(largest, logits[id] as number);
  const masses = new Float64Array(logits.length);
  for (let id = 0; id < logits.length; id++) {
    masses[id] = Math.exp(((logits[id] as number) - largest) / temperature);
  }
  const kept = topK < logits.length ? likeliest(masses, topK) : new Int32Array(masses.length).map((_, id) => id);
  const total = sumOf(kept, masses);
  if (!Number.isFinite(total)) {
    throw new BoosterError("NON_FINITE_LOGITS", "the model's logits are not numbers", {
      hint: "Its weights have probably diverged.",
    });
  }
  const nucleus = topP < 1 ? nucleusOf(kept, masses, total, topP) : kept;
  const goal = uniform * (topP < 1 ? sumOf(nucleus, masses) : total);
  let sum = 0;
  let id = 0;
  for (let i = 0; i < nucleus.length && sum <= goal; i++) {
    id = nucleus[i] as number;
    sum += masses[id] as number;
  }
  return id;
}

function sumOf(ids: ArrayLike<number>, masses: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < ids.length; i++) sum += masses[ids[i] as number] as number;
  return sum;
}

/** The k heaviest, heaviest first; of equals the first ones. */
function likeliest(masses: ArrayLike<number>, k: number): number[] {
  const best: number[] = [];
  const at = (place: number) => masses[best[place] as number] as number;
  for (let id = 0; id < masses.length; id++) {
    const mass = masses[id] as number;
    if (best.length === k && mass <= at(k - 1)) continue;
    let [low, high] = [0, best.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at(middle) >= mass) low = middle + 1;
      else high = middle;
    }
    best.splice(low, 0, id);
    if (best.length > k) best.pop();
  }
  return best;
}

/** The fewest heaviest of `ids` that have at least `topP` of their total mass. */
function nucleusOf(ids: ArrayLike<number>, masses: Float64Array, total: number, topP: number): number[] {
  // Tokens below this have less than 1 - topP together, so none of them is in the nucleus: few are left to sort.
  const floor = ((1 - topP) * total) / ids.length;
  const candidates: number[] = [];
  for (let i = 0; i < ids.length; i++)
    if ((masses[ids[i] as number] as number) >= floor) candidates.push(ids[i] as number);
  candidates.sort((a, b) => (masses[b] as number) - (masses[a] as number) || a - b);
  let sum = 0;
  const end = candidates.findIndex((id) => {
    sum += masses[id] as number;
    return sum >= topP * total;
  });
  return end < 0 ? candidates : candidates.slice(0, end + 1);
}
