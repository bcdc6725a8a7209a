import { join } from "node:path";
import { z } from "zod";
import { measureInChild } from "./child.ts";
import { type MklKernels, mklChoices, peersInstalled, runPeer } from "./peers/peers.ts";

export type MethodName = "sft" | "booster";

/** A program that trains the same steps as the others. */
export interface Contender {
  readonly method: MethodName;
  /** Contenders of one name are the same program under different settings; the fastest stands for it. */
  readonly name: string;
  readonly setting: string;
  run(steps: number): Promise<Measurement>;
}

export const OursResult = z.object({
  stepSeconds: z.array(z.number().positive()),
  startupSeconds: z.number(),
  peakRssBytes: z.number().int(),
  /** Of each batch. */
  batchFlops: z.array(z.number()),
  profile: z
    .array(z.object({ op: z.string(), calls: z.number(), milliseconds: z.number(), flops: z.number() }))
    .optional(),
});
export type OursResult = z.infer<typeof OursResult>;

export interface Measurement extends Partial<OursResult> {
  readonly stepSeconds: number[];
  readonly peakRssBytes: number;
  readonly versions?: Readonly<Record<string, string>>;
}

/** Model and batches of the real rows. */
export interface RowsInput {
  readonly model: string;
  readonly batches: string;
}

/** One measurement of our own step. */
export const runOurs = (
  input: RowsInput | "dense",
  method: MethodName,
  steps: number,
  more: readonly string[] = [],
): Promise<OursResult> =>
  measureInChild(OursResult, process.execPath, [
    join(import.meta.dirname, "ours.js"),
    ...workloadArgs(input),
    ...["--method", method, "--steps", String(steps)],
    ...more,
  ]);

export const workloadArgs = (input: RowsInput | "dense"): string[] =>
  input === "dense"
    ? ["--workload", "dense"]
    : ["--workload", "rows", "--model", input.model, "--batches", input.batches];

function ours(input: RowsInput | "dense", method: MethodName, memory: "speed" | "low"): Contender {
  const name = memory === "speed" ? "ours" : "ours, low memory";
  return { method, name, setting: NO_SETTING, run: (steps) => runOurs(input, method, steps, ["--memory", memory]) };
}

const NO_SETTING = "";
const mklSetting = (mkl: MklKernels): string => (mkl === "avx512" ? "MKL told to use AVX-512" : "as installed");

function pyTorch(method: MethodName, mode: "eager" | "compile" | "bf16-compile", mkl: MklKernels): Contender {
  const name = { eager: "PyTorch eager", compile: "PyTorch compiled", "bf16-compile": "PyTorch compiled, bf16" }[mode];
  return {
    method,
    name,
    setting: mklSetting(mkl),
    run: (steps) => runPeer("dense.py", ["--mode", mode, "--method", method, "--steps", String(steps)], mkl),
  };
}

/** @param packed without padding: all rows one behind the other, each seeing itself alone */
function transformers(input: RowsInput | "dense", method: MethodName, mkl: MklKernels, packed = false): Contender {
  const args = [...workloadArgs(input), "--method", method, ...(packed ? ["--packed"] : [])];
  return {
    method,
    name: packed ? "transformers + PEFT, no padding" : "transformers + PEFT",
    setting: mklSetting(mkl),
    run: (steps) => runPeer("hf.py", [...args, "--steps", String(steps)], mkl),
  };
}

/** Who runs a workload. `quick`: ours, and of the peers SFT in float32 alone. */
export function contenders(input: RowsInput | "dense", quick: boolean): Contender[] {
  const own = (["sft", "booster"] as const).flatMap((method) =>
    (["speed", "low"] as const).map((memory) => ours(input, method, memory)),
  );
  if (!peersInstalled()) return own;
  const choices = mklChoices();
  const faster = choices.at(-1) as MklKernels;
  const dense = input === "dense";
  const sft = choices.flatMap((mkl) => [
    ...(dense ? [pyTorch("sft", "eager", mkl), pyTorch("sft", "compile", mkl)] : []),
    transformers(input, "sft", mkl),
  ]);
  if (quick) return [...own, ...sft];
  return [
    ...own,
    ...sft,
    // bf16 runs on other kernels than MKL's.
    ...(dense ? [pyTorch("sft", "bf16-compile", "as installed"), pyTorch("booster", "compile", faster)] : []),
    transformers(input, "booster", faster),
    ...(dense ? [] : (["sft", "booster"] as const).map((method) => transformers(input, method, faster, true))),
  ];
}
