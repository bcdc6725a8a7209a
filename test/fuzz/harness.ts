import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BoosterError } from "../../src/errors.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { Draws } from "./mutate.ts";

/** Inputs a parser; the nightly run sets more. */
export const INPUTS = Number(process.env.BOOSTER_FUZZ ?? 200_000);
/** How many times as many at night for the parser of weights, which is fast and meets the largest files of strangers. */
export const WEIGHTS_TIMES = process.env.BOOSTER_FUZZ === undefined ? 1 : 10;

const MAX_INPUT_MS = 50;
/** Inputs between collections: on a busy machine the collector falls behind, and its garbage is not the parser's appetite. */
const COLLECT_EVERY = 5_000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

export interface FuzzReport {
  /** Inputs by outcome: an error code, or "valid". */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Anything but a BoosterError with a known code, with the input that repeats it. */
  readonly uncaught: readonly string[];
  /** Inputs that take longer than 50 ms, three times in a row (a single time may be the garbage collector's). */
  readonly slow: readonly string[];
  readonly rssGrowthMb: number;
}

/**
 * Feeds a parser with inputs made by `make`, each from its own number.
 *
 * @param times as many inputs, for what is fast
 * @example
 * fuzz("gguf", (draws) => mutateBytes(seed, draws, [seed]), (bytes) => parseGguf(bytes, "fuzz"), codes);
 */
export function fuzz(
  name: string,
  make: (draws: Draws) => Uint8Array,
  parse: (bytes: Uint8Array) => void,
  codes: ReadonlySet<string>,
  times = 1,
): FuzzReport {
  const inputs = INPUTS * times;
  /** Inputs before memory is measured: what the engine itself takes to warm up is not the parser's. */
  const warmUp = Math.min(20_000, Math.floor(inputs / 4));
  const random = new RandomStream(1, `fuzz-${name}`);
  const outcomes = new Map<string, number>();
  const uncaught: string[] = [];
  const slow: string[] = [];
  let baseline = 0;
  let peak = 0;
  for (let input = 0; input < inputs; input++) {
    const bytes = make(new Draws(random, input));
    const start = performance.now();
    const outcome = outcomeOf(parse, bytes, codes);
    if (performance.now() - start > MAX_INPUT_MS && isSlow(parse, bytes)) slow.push(describe(input, bytes));
    if (outcome.startsWith("uncaught")) uncaught.push(`${outcome} ${describe(input, bytes)}`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (input % COLLECT_EVERY === 0) collectGarbage();
    if (input === warmUp) baseline = process.memoryUsage.rss();
    if (input > warmUp && input % 100 === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }
  return { outcomes, uncaught, slow, rssGrowthMb: (peak - baseline) / 2 ** 20 };
}

/** `fuzz` for a parser that reads a stream: each input is waited for. */
export async function fuzzStream(
  name: string,
  make: (draws: Draws) => Uint8Array,
  read: (bytes: Uint8Array) => Promise<void>,
  codes: ReadonlySet<string>,
): Promise<Omit<FuzzReport, "slow"> & { readonly millisecondsEach: number }> {
  const warmUp = Math.min(20_000, Math.floor(INPUTS / 4));
  const random = new RandomStream(1, `fuzz-${name}`);
  const outcomes = new Map<string, number>();
  const uncaught: string[] = [];
  let [baseline, peak] = [0, 0];
  const start = performance.now();
  for (let input = 0; input < INPUTS; input++) {
    const bytes = make(new Draws(random, input));
    const settled = await read(bytes).then(
      () => undefined,
      (error: unknown) => error,
    );
    const outcome = outcomeOf(() => fail(settled), bytes, codes);
    if (outcome.startsWith("uncaught")) uncaught.push(`${outcome} ${describe(input, bytes)}`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (input % COLLECT_EVERY === 0) collectGarbage();
    if (input === warmUp) baseline = process.memoryUsage.rss();
    if (input > warmUp && input % 100 === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }
  const millisecondsEach = (performance.now() - start) / INPUTS;
  return { outcomes, uncaught, rssGrowthMb: (peak - baseline) / 2 ** 20, millisecondsEach };
}

function fail(error: unknown): void {
  if (error !== undefined) throw error;
}

function outcomeOf(parse: (bytes: Uint8Array) => void, bytes: Uint8Array, codes: ReadonlySet<string>): string {
  try {
    parse(bytes);
    return "valid";
  } catch (error) {
    if (error instanceof BoosterError && codes.has(error.code)) return error.code;
    return `uncaught ${String(error)}`;
  }
}

/** In time of the processor: what else a machine does counts for nothing. */
function isSlow(parse: (bytes: Uint8Array) => void, bytes: Uint8Array): boolean {
  for (let attempt = 0; attempt < 2; attempt++) {
    const start = process.cpuUsage();
    outcomeOf(parse, bytes, new Set());
    const { user, system } = process.cpuUsage(start);
    if ((user + system) / 1000 <= MAX_INPUT_MS) return false;
  }
  return true;
}

const describe = (input: number, bytes: Uint8Array): string =>
  `input ${input}: ${Buffer.from(bytes.subarray(0, 600)).toString("base64")}`;
