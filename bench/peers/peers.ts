import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { z } from "zod";
import { packagePath } from "../../src/stages/package-root.ts";
import { measureInChild } from "../child.ts";

const inPeers = (...parts: string[]): string => packagePath("bench", "peers", ...parts);
const PYTHON = inPeers(".venv", "bin", "python");
/** Made by setup.sh of mkl-avx512.c. */
const OVERRIDE = inPeers(".venv", "mkl-avx512.so");

const PeerResult = z.object({
  peer: z.string(),
  workload: z.string(),
  mode: z.string(),
  /** Wall time of each measured step, after the warm-up; seconds. */
  stepSeconds: z.array(z.number().positive()).min(1),
  /** Peak resident memory of the whole program, import and warm-up included; bytes. */
  peakRssBytes: z.number().int().positive(),
  versions: z.record(z.string(), z.string()),
  threads: z.number().int().positive(),
  /** Alignment loss at the start of the last measured step. */
  loss: z.number(),
});

/** What one run of a peer measured. */
export type PeerResult = z.infer<typeof PeerResult>;

/** Kernels of MKL: on processors of AMD it takes slow ones by itself, and its AVX-512 ones when told that all is well. */
export type MklKernels = "as installed" | "avx512";

/** Both where they differ: on AMD's processors with AVX-512. */
export const mklChoices = (): readonly MklKernels[] =>
  /AMD/.test(cpus()[0]?.model ?? "") && existsSync(OVERRIDE) ? ["as installed", "avx512"] : ["as installed"];

/** Whether bench/peers/setup.sh has been run. */
export const peersInstalled = (): boolean => existsSync(PYTHON);

/**
 * Runs one peer on every core, in its own process, and returns what it measured.
 *
 * @throws {BoosterError} `BENCH_CHILD_FAILED`
 * @example
 * const { stepSeconds } = await runPeer("dense.py", ["--mode", "compile", "--method", "booster"], "as installed");
 */
export const runPeer = (script: "dense.py" | "hf.py", args: readonly string[], mkl: MklKernels): Promise<PeerResult> =>
  measureInChild(PeerResult, PYTHON, [inPeers(script), "--json", ...args], environment(mkl));

/** A Python whose PyTorch finds a GPU with CUDA: the peers' own, or the machine's. */
export function cudaPython(): string | undefined {
  const asks = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)";
  return [PYTHON, "python3"].find((python) => spawnSync(python, ["-c", asks], { stdio: "ignore" }).status === 0);
}

/** Runs one peer on a GPU, by a Python of `cudaPython`. Throws what `measureInChild` throws. */
export const runOnCuda = (
  python: string,
  script: "dense.py" | "hf.py",
  args: readonly string[],
  seconds: number,
): Promise<PeerResult> =>
  measureInChild(PeerResult, python, [inPeers(script), "--json", "--device", "cuda", ...args], process.env, seconds);

/** Every core for OpenMP and MKL; without settings that are meant for OpenBLAS. */
function environment(mkl: MklKernels): NodeJS.ProcessEnv {
  const { OPENBLAS_CORETYPE: _core, OPENBLAS_L2_SIZE: _cache, ...rest } = process.env;
  return {
    ...rest,
    OMP_NUM_THREADS: String(availableParallelism()),
    ...(mkl === "avx512" ? { LD_PRELOAD: OVERRIDE } : {}),
  };
}
