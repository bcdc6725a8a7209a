import { createHash } from "node:crypto";
import { loadExamples, loadPairs } from "../data/load.ts";
import type { SourceOptions } from "../data/options.ts";
import type { Pair } from "../data/pairs.ts";
import { disjointSets, hashExamples } from "../data/split.ts";
import { encodeEach, encodeExample } from "../data/templates.ts";
import { BoosterError } from "../errors.ts";
import type { TrainingMethod } from "../methods/method.ts";
import type { Example } from "../models/index.ts";
import type { Following } from "../train/index.ts";
import { type Encoding, rowLimit, teller, trainable, usable } from "./data.ts";
import { dataMissing, type Streams } from "./streams.ts";

/** Streams that hold the two answers of pairs, by the option that names where these come from. */
const PAIR_STREAMS = {
  pairs: ["chosen", "rejected"],
  bufferPairs: ["bufferChosen", "bufferRejected"],
} as const;
type PairOption = keyof typeof PAIR_STREAMS;
const PAIR_OPTIONS = Object.keys(PAIR_STREAMS) as PairOption[];

/** The option that says where a stream comes from: of its name, but for the answers of pairs. */
export const optionOf = (stream: string): string =>
  PAIR_OPTIONS.find((option) => (PAIR_STREAMS[option] as readonly string[]).includes(stream)) ?? stream;

/**
 * The streams of pairs that a method reads: the two answers of a pair stand in the same place of two streams. Pairs of `bufferPairs`
 * that do not say otherwise count as safe, as in BFPO's code; those of `pairs` must say it.
 *
 * @throws {BoosterError} `DATA_MISSING`, `DATA_EMPTY`, `COLUMN_MISSING`, and what loading and encoding throw
 */
export async function loadPairStreams(
  method: Pick<TrainingMethod, "name" | "streams">,
  sources: { readonly [Option in PairOption]?: SourceOptions | undefined },
  encoding: Encoding,
  avoid: readonly SourceOptions[],
  { emit }: Following,
): Promise<Streams> {
  const streams: Streams = { rows: {}, hashes: {}, records: {} };
  for (const option of PAIR_OPTIONS) {
    const names = PAIR_STREAMS[option];
    if (!method.streams.includes(names[0])) continue;
    const source = sources[option];
    if (source === undefined) throw dataMissing(method.name, option);
    const tell = teller(emit, option);
    const { examples: pairs, readAs, recognised, files } = await loadPairs(source);
    tell(recognised);
    const kept = await withoutRepeats(pairs, avoid, source);
    const safe = kept.map((pair) => labelsOf(pair, option === "bufferPairs"));
    const limit = rowLimit(encoding);
    const answers = kept.flatMap(({ chosen, rejected }) => [chosen, rejected]);
    const encoded = usable(
      encodeEach(answers, (example) => encodeExample(example, limit)),
      encoding.unusable,
      tell,
    );
    const rows = new Map(trainable(encoded.rows).map((row, at) => [encoded.places[at] as number, row]));
    const whole = safe.flatMap((labels, pair) => {
      const [chosen, rejected] = [rows.get(2 * pair), rows.get(2 * pair + 1)];
      return chosen && rejected
        ? [labels.map((safe, side) => ({ ...((side === 0 ? chosen : rejected) as Example), safe }))]
        : [];
    });
    names.forEach((name, side) => {
      streams.rows[name] = whole.map((pair) => pair[side] as Example);
    });
    const sha256 = createHash("sha256").update(hashExamples(answers)).update(JSON.stringify(safe)).digest("hex");
    streams.hashes[option] = sha256;
    streams.records[option] = {
      readAs,
      files: files.map(({ path, sha256 }) => ({ path, sha256 })),
      pairs: whole.length,
      avoided: pairs.length - kept.length,
      ...encoded.record,
      sha256,
    };
  }
  return streams;
}

/** @throws {BoosterError} `DATA_EMPTY` */
async function withoutRepeats(
  pairs: readonly Pair[],
  avoid: readonly SourceOptions[],
  source: SourceOptions,
): Promise<readonly Pair[]> {
  const others = (await Promise.all(avoid.map((other) => loadExamples(other)))).flatMap(({ examples }) => examples);
  const left = new Set(disjointSets({ others, own: pairs.map(({ chosen }) => chosen) }).own.examples);
  const kept = pairs.filter(({ chosen }) => left.has(chosen));
  if (kept.length > 0) return kept;
  throw new BoosterError("DATA_EMPTY", "no pair is left", {
    found: `${pairs.length} pairs, each of which repeats a question to avoid`,
    where: source.path,
  });
}

/** @throws {BoosterError} `COLUMN_MISSING` where nothing says whether an answer is safe */
function labelsOf({ chosen, safe }: Pair, assumed: boolean): boolean[] {
  return [safe.chosen, safe.rejected].map((label) => {
    if (label !== undefined || assumed) return label ?? true;
    throw new BoosterError("COLUMN_MISSING", "a pair does not say which of its answers are safe", {
      expected: "chosen_safe and rejected_safe, true or false",
      where: chosen.where,
    });
  });
}
