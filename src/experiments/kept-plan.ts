import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { makeFolder, writeFileAtomic } from "../formats/atomic-file.ts";
import { STAGES, type StageName } from "../stages/stage.ts";
import { RunLock } from "../train/lock.ts";
import { ExperimentOptions, SparseAttack } from "./options.ts";
import type { Placed, Plan } from "./plan.ts";
import type { Planned } from "./so-far.ts";

/** An experiment's plan in its folder: from the beginning on whoever sees the folder can say how far it is, and what it has found. */
export const PLAN_FILE = "plan.json";

const Key = z.string().min(1);
const Cell = z.strictObject({
  method: z.int(),
  strength: z.int(),
  seed: z.int(),
  align: Key,
  attack: Key,
  before: Key,
  after: Key,
});
const KeptPlan = z.strictObject({
  version: z.literal(1),
  options: ExperimentOptions.omit({ out: true }),
  identity: z.string(),
  pieces: z.array(
    z.strictObject({
      key: Key,
      stage: z.enum(STAGES.map(({ name }) => name) as [StageName, ...StageName[]]),
      folder: z.enum(["align", "attack", "repair", "evaluate"]),
      label: z.string(),
      on: Key.optional(),
      from: z.array(Key).optional(),
    }),
  ),
  cells: z.array(Cell),
  searches: z.array(Cell.extend({ rungs: z.array(z.strictObject({ share: z.number(), judged: z.array(Key) })) })),
  candidates: z.array(SparseAttack),
});

/** Writes down what is planned, unless it stands there. */
export function keepPlan({ out, ...options }: ExperimentOptions, { pieces, ...plan }: Plan): void {
  const kept: z.input<typeof KeptPlan> = {
    version: 1,
    options,
    ...plan,
    pieces: pieces.map(({ key, stage, folder, label, on, from }) => ({ key, stage, folder, label, on, from })),
  } as z.input<typeof KeptPlan>;
  const text = `${JSON.stringify(kept, undefined, 2)}\n`;
  const file = join(out, PLAN_FILE);
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  makeFolder(out);
  writeFileAtomic(file, [Buffer.from(text)]);
}

/**
 * What is planned in an experiment's folder, wherever that lies now.
 *
 * @throws {BoosterError} `RESULT_INVALID` where it is none of this program's
 */
export function readPlan(out: string): {
  readonly options: ExperimentOptions;
  readonly plan: Planned;
  readonly pieces: readonly Placed[];
} {
  const where = join(out, PLAN_FILE);
  const { options, pieces, version: _, ...plan } = parsed(where);
  return { options: { ...options, out }, plan, pieces };
}

function parsed(where: string): z.output<typeof KeptPlan> {
  try {
    return KeptPlan.parse(JSON.parse(readFileSync(where, "utf8")));
  } catch (cause) {
    throw new BoosterError("RESULT_INVALID", "this is no plan of an experiment", { where, cause });
  }
}

const locksOf = (out: string): string => join(out, "locks");

/** Says that a start of the experiment is at work, until that is taken back; a kill takes it back too. */
export function sayAtWork(out: string): () => void {
  const locks = locksOf(out);
  makeFolder(locks);
  const mine = join(locks, `start-${process.pid}`);
  // Two starts in one process are one for whoever looks.
  if (RunLock.isHeld(mine)) return () => undefined;
  const lock = RunLock.acquire(mine);
  return () => lock.release();
}

/** Locks of an experiment that somebody holds: those of pieces are called by their keys. */
export function heldIn(out: string): readonly string[] {
  const locks = locksOf(out);
  return existsSync(locks) ? readdirSync(locks).filter((name) => RunLock.isHeld(join(locks, name))) : [];
}
