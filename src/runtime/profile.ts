import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BoosterError } from "../errors.ts";

/** One kernel call of a trace file that ONNX Runtime wrote. */
interface KernelEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly ts: number;
  readonly args: {
    readonly op_name?: string;
    readonly provider?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_size?: string;
  };
}

export interface OpProfile {
  readonly op: string;
  readonly provider: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** Written by these calls. */
  readonly outputBytes: number;
  readonly flops: number;
}

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Multiplications and additions of a matrix product, from the shapes that the trace records; 0 for other ops. */
function flopsOf({ args }: KernelEvent): number {
  if (!["MatMul", "FusedMatMul", "Gemm"].includes(args.op_name ?? "")) return 0;
  const shapeOf = (entry: Readonly<Record<string, readonly number[]>> | undefined) =>
    Object.values(entry ?? {})[0] ?? [];
  const a = size(shapeOf(args.input_type_shape?.[0]));
  const b = size(shapeOf(args.input_type_shape?.[1]));
  const outputShape = shapeOf(args.output_type_shape?.[0]);
  const y = size(outputShape);
  const batch = size(outputShape.slice(0, -2));
  // a b / y = k^2 per batch entry, whichever operand is transposed.
  return y === 0 ? 0 : 2 * y * Math.sqrt((a * b) / (y * batch));
}

export interface Profile {
  /** Trace file; Perfetto and chrome://tracing open it. */
  readonly file: string;
  /** Slowest first. */
  readonly ops: readonly OpProfile[];
  /** Largest resident memory of this process so far. */
  readonly peakRssBytes: number;
}

/**
 * Reads the trace file with this prefix: per operator time, calls, bytes written and arithmetic.
 *
 * @throws {BoosterError} `PROFILE_MISSING`
 */
export function readProfile(prefix: string): Profile {
  const folder = dirname(prefix);
  const names = readdirSync(folder).filter((file) => file.startsWith(basename(prefix)) && file.endsWith(".json"));
  const newest = names.sort().at(-1);
  if (newest === undefined) throw new BoosterError("PROFILE_MISSING", "there is no trace file", { where: prefix });
  const file = join(folder, newest);
  const events = JSON.parse(readFileSync(file, "utf8")) as KernelEvent[];
  const rows = new Map<string, { -readonly [K in keyof OpProfile]: OpProfile[K] }>();
  for (const event of events) {
    if (event.cat !== "Node" || !event.name.endsWith("_kernel_time")) continue;
    const op = event.args.op_name ?? "?";
    const provider = event.args.provider ?? "?";
    const key = `${op} ${provider}`;
    const row = rows.get(key) ?? { op, provider, calls: 0, milliseconds: 0, outputBytes: 0, flops: 0 };
    row.calls++;
    row.milliseconds += event.dur / 1000;
    row.outputBytes += Number(event.args.output_size ?? 0);
    row.flops += flopsOf(event);
    rows.set(key, row);
  }
  const ops = [...rows.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  return { file, ops, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}

/** The profile as a table: where the time goes, and how fast the matrix products are. */
export function profileTable({ file, ops, peakRssBytes }: Profile): string {
  const total = ops.reduce((sum, row) => sum + row.milliseconds, 0);
  const line = (...[op, where, calls, ms, share, mb, speed]: readonly [string, ...string[]]) =>
    `${op.padEnd(30)} ${where?.padEnd(8)} ${calls?.padStart(7)} ${ms?.padStart(10)} ${share?.padStart(7)} ${mb?.padStart(9)} ${speed?.padStart(8)}`;
  const lines = ops.map(({ op, provider, calls, milliseconds, outputBytes, flops }) =>
    line(
      op,
      provider.replace("ExecutionProvider", ""),
      String(calls),
      milliseconds.toFixed(1),
      `${((100 * milliseconds) / total).toFixed(1)}%`,
      (outputBytes / 1e6).toFixed(0),
      flops === 0 ? "" : (flops / milliseconds / 1e6).toFixed(0),
    ),
  );
  const header = line("op", "where", "calls", "ms", "share", "MB out", "GFLOP/s");
  const end = `total ${total.toFixed(1)} ms; peak memory ${(peakRssBytes / 1e6).toFixed(0)} MB; trace: ${file}`;
  return [header, ...lines, end].join("\n");
}
