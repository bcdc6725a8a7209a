import type { Example as DataExample } from "../data/examples.ts";
import type { SourceOptions } from "../data/options.ts";
import { BoosterError } from "../errors.ts";
import type { TrainingMethod } from "../methods/method.ts";
import type { Example } from "../models/index.ts";
import type { Following } from "../train/index.ts";
import { type Encoding, encodeAll, loadDataSet, teller, trainable } from "./data.ts";

/** Data of a method's streams: examples, hashes for run.json and records for data.json, by stream. */
export interface Streams {
  readonly rows: Record<string, readonly Example[]>;
  readonly hashes: Record<string, string>;
  readonly records: Record<string, unknown>;
}

/** How the rows of a stream are written before they become tokens. */
export type Rewriting = (
  stream: string,
  rows: readonly DataExample[],
  tell: (text: string) => void,
) => readonly DataExample[];

/**
 * Loads and encodes the streams that a method reads.
 *
 * @param sources where each stream comes from, with the option that names it; streams that are not in here come from elsewhere
 * @throws {BoosterError} `DATA_MISSING` naming the option, and what loading and encoding throw
 */
export async function loadStreams(
  method: Pick<TrainingMethod, "name" | "streams">,
  sources: Readonly<Record<string, { readonly option: string; readonly source: SourceOptions | undefined }>>,
  encoding: Encoding,
  avoid: readonly SourceOptions[],
  { emit }: Following,
  rewrite: Rewriting = (_, rows) => rows,
): Promise<Streams> {
  const streams: Streams = { rows: {}, hashes: {}, records: {} };
  for (const stream of method.streams) {
    const found = sources[stream];
    if (found === undefined) continue;
    const { option, source } = found;
    if (source === undefined) throw dataMissing(method.name, option);
    const tell = teller(emit, option);
    const set = await loadDataSet(source, avoid, tell, stream === "harmful");
    const encoded = encodeAll(rewrite(stream, set.examples, tell), encoding, tell);
    streams.rows[stream] = trainable(encoded.rows);
    streams.hashes[stream] = set.record.sha256;
    streams.records[stream] = { ...set.record, ...encoded.record };
  }
  return streams;
}

/** Of a method that reads a stream for which there is no source. */
export const dataMissing = (method: string, option: string): BoosterError =>
  new BoosterError("DATA_MISSING", `the method ${method} needs data that was not given`, {
    expected: `a source for ${option}`,
    found: "nothing",
    where: option,
  });
