import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../src/errors.ts";
import { measureInChild } from "./child.ts";

/** Nothing is begun that has less than this left; seconds. */
const LEAST = 15;
const PROBE_SECONDS = 60;

/** Measurements one after the other, each in a process of its own, all of them within a time. What fails or does not fit is a note. */
export class Tries {
  readonly notes: string[] = [];
  private readonly end: number;

  constructor(
    seconds: number,
    private readonly progress: (text: string) => void,
  ) {
    this.end = performance.now() + 1000 * seconds;
  }

  /** @param work is given the seconds that are left */
  async attempt<T>(what: string, work: (seconds: number) => Promise<T>): Promise<T | undefined> {
    const seconds = (this.end - performance.now()) / 1000;
    if (seconds < LEAST) {
      this.skip(what, "no time was left");
      return undefined;
    }
    this.progress(`gpu: ${what}`);
    try {
      return await work(seconds);
    } catch (error) {
      if (!(error instanceof BoosterError)) throw error;
      if (performance.now() > this.end) this.skip(what, "it was ended when no time was left");
      else this.notes.push(`Failed: ${what}; ${reasonOf(error)}.`);
      return undefined;
    }
  }

  skip(what: string, why: string): void {
    this.notes.push(`Skipped: ${what}; ${why}.`);
  }
}

/** Runs one of the programs beside this one, on the GPU. */
export const onGpu = <T>(schema: z.ZodType<T>, seconds: number, name: string, ...args: readonly string[]): Promise<T> =>
  measureInChild(schema, process.execPath, [join(import.meta.dirname, name), ...args], process.env, seconds);

/** Why nothing can be computed through WebGPU here; undefined where it can. */
export async function whyNoDevice(): Promise<string | undefined> {
  try {
    await onGpu(z.object({}), PROBE_SECONDS, "gpu-check.js", "probe");
    return undefined;
  } catch (error) {
    if (!(error instanceof BoosterError)) throw error;
    return reasonOf(error);
  }
}

/** The GPU as NVIDIA's driver tells it; undefined without one. */
export function nvidia(): { readonly name: string; readonly freeMib: number } | undefined {
  const asks = ["--query-gpu=name,memory.free", "--format=csv,noheader,nounits"];
  const { status, stdout } = spawnSync("nvidia-smi", asks, { encoding: "utf8" });
  if (status !== 0) return undefined;
  const [name = "", free = ""] = stdout.split(/, |\n/);
  return { name, freeMib: Number(free) };
}

/** What a child has told, on one line. */
const reasonOf = ({ details }: BoosterError): string =>
  String(details.found)
    .replaceAll(/\s+/g, " ")
    .replace(/\.?\s*$/, "")
    .slice(0, 400);
