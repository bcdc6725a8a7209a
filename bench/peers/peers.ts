import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { BoosterError } from "../../src/errors.ts";

const python = join(import.meta.dirname, ".venv", "bin", "python");

const peerResult = z.object({
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
export type PeerResult = z.infer<typeof peerResult>;

/**
 * Runs one peer on every core and returns what it measured; undefined, with the reason printed, where bench/peers/setup.sh has not been run.
 *
 * @throws BoosterError PEER_FAILED when the script fails or prints no result.
 * @example
 * const result = await runPeer("dense.py", ["--mode", "compile", "--method", "booster"]);
 */
export async function runPeer(
  script: "dense.py" | "hf.py",
  args: readonly string[] = [],
): Promise<PeerResult | undefined> {
  if (!existsSync(python)) {
    console.log(`skipped: ${script} needs the Python packages of bench/peers/setup.sh`);
    return undefined;
  }
  const child = spawn(python, [join(import.meta.dirname, script), "--json", ...args], {
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exit = new Promise<number | NodeJS.Signals | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", (code, signal) => done(code ?? signal));
  });
  const [code, output, log] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
  const line = output.trim().split("\n").at(-1) ?? "";
  if (code !== 0 || !line.startsWith("{")) {
    throw new BoosterError("PEER_FAILED", "a peer gave no result", {
      expected: "exit code 0 and a line of JSON",
      found: `exit code ${code}, ${log.trim().split("\n").slice(-5).join("\n")}`,
      where: [script, ...args].join(" "),
    });
  }
  return peerResult.parse(JSON.parse(line));
}

/** Every core for OpenMP and MKL; without the settings that are meant for OpenBLAS on this machine. */
function environment(): NodeJS.ProcessEnv {
  const { OPENBLAS_CORETYPE: _core, OPENBLAS_L2_SIZE: _cache, ...rest } = process.env;
  return { ...rest, OMP_NUM_THREADS: String(availableParallelism()) };
}
