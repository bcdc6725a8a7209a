import { freemem, totalmem } from "node:os";
import { BoosterError } from "../errors.ts";
import type { Example } from "../models/index.ts";
import { bytesOfAll } from "../runtime/index.ts";
import type { BatchSource, TrainingStepper } from "../train/index.ts";
import { microBatches } from "../train/stepper.ts";

/**
 * What this process may still take; bytes. In a container that is its limit less what the process has: what files occupy is given back
 * when it is needed, while `process.availableMemory()` counts it as taken.
 */
export function availableMemory(): number {
  const limit = process.constrainedMemory() ?? 0;
  const limited = limit > 0 && limit < totalmem();
  return Math.max(0, Math.min(freemem(), limited ? limit - process.memoryUsage().rss : Number.POSITIVE_INFINITY));
}

type Sources = Readonly<Record<string, BatchSource>>;
type Streams = Readonly<Record<string, readonly Example[]>>;

/** The steps whose batches have the most tokens. */
export function largestSteps(sources: Sources, streams: Streams, steps: number, count: number): readonly number[] {
  const lengthOf = (stream: string, row: number) => streams[stream]?.[row]?.inputIds.length ?? 0;
  const tokens = Array.from({ length: steps }, (_, step) => {
    let sum = 0;
    for (const [stream, source] of Object.entries(sources))
      for (const row of source.batch(step)) sum += lengthOf(stream, row);
    return sum;
  });
  const order = Array.from(tokens.keys()).sort((a, b) => (tokens[b] as number) - (tokens[a] as number));
  return order.slice(0, count);
}

/**
 * Whether the largest step fits into memory, before the first one is taken.
 *
 * @throws {BoosterError} `MEMORY_TOO_SMALL`
 */
export async function checkMemory(stepper: TrainingStepper, sources: Sources, steps: number): Promise<void> {
  const { program, rows } = stepper.options;
  const [largest = 0] = largestSteps(sources, rows, steps, 1);
  const results = await stepper.peakBytes(microBatches(sources, largest, program.options.microBatches ?? 1), largest);
  // The state's other half, and a copy of it while a checkpoint is written.
  const needed = results + 2 * bytesOfAll(program.state.current);
  const available = availableMemory();
  if (needed <= available) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new BoosterError("MEMORY_TOO_SMALL", "the largest step would not fit into memory", {
    expected: `${gigabytes(needed)} beside what is loaded`,
    found: `${gigabytes(available)} available`,
    where: `step ${largest + 1}`,
    hint: "Ask for --memory low, more --microBatches, a smaller --batchSize or --maxTokens (booster estimate tries them), or insist: --force.",
  });
}
