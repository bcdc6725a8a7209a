import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { writeFileAtomic } from "../../src/formats/atomic-file.ts";
import type { Settings } from "./settings.ts";

const Trial = z.strictObject({
  method: z.string(),
  settings: z.record(z.string(), z.unknown()),
  seeds: z.array(z.int()).min(1),
  /** Per cent: before the attacks, a value for each seed, and after each attack. */
  before: z.array(z.number()),
  overRefusal: z.array(z.number()),
  after: z.array(z.array(z.number())),
  worth: z.strictObject({ harm: z.number(), accuracy: z.number(), counting: z.int(), models: z.int() }),
});

/** What came of a setting. */
export type Trial = z.infer<typeof Trial>;

const Found = z.strictObject({ setup: z.string(), trials: z.array(Trial) });

/**
 * What was found so far, in a file of the repository: a search takes longer than a machine is kept, and goes on from there.
 *
 * @param setup everything but the settings that decides about results; trials of another are not used
 */
export class FoundTrials {
  readonly #path: string;
  readonly #setup: string;
  readonly #trials: Trial[] = [];

  constructor(path: string, setup: unknown) {
    this.#path = path;
    this.#setup = createHash("sha256").update(JSON.stringify(setup)).digest("hex");
    if (!existsSync(path)) return;
    const { setup: theirs, trials } = Found.parse(JSON.parse(readFileSync(path, "utf8")));
    if (theirs !== this.#setup)
      throw new Error(`${path} is of another world, attack or evaluation: move it away to begin anew`);
    this.#trials.push(...trials);
  }

  of(method: string): readonly Trial[] {
    return this.#trials.filter((trial) => trial.method === method);
  }

  find(method: string, settings: Settings, seeds: readonly number[]): Trial | undefined {
    const text = JSON.stringify([settings, seeds]);
    return this.of(method).find((trial) => JSON.stringify([trial.settings, trial.seeds]) === text);
  }

  add(trials: readonly Trial[]): void {
    this.#trials.push(...trials);
    const lines = this.#trials.map((trial) => `    ${JSON.stringify(trial)}`);
    writeFileAtomic(this.#path, [
      Buffer.from(`{\n  "setup": "${this.#setup}",\n  "trials": [\n${lines.join(",\n")}\n  ]\n}\n`),
    ]);
  }
}
