import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, writeFileAtomic } from "../../formats/atomic-file.ts";
import { isDone } from "../../stages/stage.ts";
import type { Key, Placed } from "../plan.ts";

/** What came of a piece: a folder, or why there is none. */
export type Outcome = { readonly run: string } | { readonly leftOut: string };
export type Outcomes = ReadonlyMap<Key, Outcome>;

/** Where what a piece makes lies in an experiment's folder. */
export const folderOf = (out: string, { folder, key }: Placed): string => join(out, folder, key);

const leftOutFile = (out: string, { key }: Placed): string => join(out, "left-out", `${key}.json`);

/** Keeps why a piece that diverged is left out: whoever needs it, on this host or another, does not try it again. */
export function leaveOut(out: string, piece: Placed, leftOut: string): Outcome {
  makeFolder(join(out, "left-out"));
  writeFileAtomic(leftOutFile(out, piece), [Buffer.from(`${JSON.stringify({ leftOut })}\n`)]);
  return { leftOut };
}

/** What came of a piece so far, by what lies in the experiment's folder and by what came of those it needs; undefined: it is to be done. */
export function outcomeOf(out: string, piece: Placed, outcomes: Outcomes): Outcome | undefined {
  const lost = lossOf(piece, outcomes);
  if (lost !== undefined) return lost;
  const run = folderOf(out, piece);
  if (isDone({ stage: piece.stage, options: { run } })) return { run };
  const file = leftOutFile(out, piece);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { readonly leftOut: string }) : undefined;
}

/** What came of pieces so far. */
export function outcomesOf(out: string, pieces: readonly Placed[]): Map<Key, Outcome> {
  const outcomes = new Map<Key, Outcome>();
  for (const piece of pieces) {
    const outcome = outcomeOf(out, piece, outcomes);
    if (outcome !== undefined) outcomes.set(piece.key, outcome);
  }
  return outcomes;
}

/** Why a piece cannot be done: what it stands on was left out, or all that it would choose from. */
function lossOf({ on, from }: Placed, outcomes: Outcomes): Outcome | undefined {
  const lostOf = (key: Key): Outcome[] => {
    const outcome = outcomes.get(key);
    return outcome !== undefined && "leftOut" in outcome ? [outcome] : [];
  };
  const [below] = on === undefined ? [] : lostOf(on);
  if (below !== undefined || from === undefined) return below;
  const lost = from.flatMap(lostOf);
  return lost.length === from.length ? lost[0] : undefined;
}
