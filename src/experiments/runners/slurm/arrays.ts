import { type Key, needsOf, type Piece } from "../../plan.ts";

/** Tasks of an array; Slurm's own limit (MaxArraySize) is 1001 where nobody set it. */
const MOST_TASKS = 1000;

/** Place of a task: which array of the list, and its index there. */
export interface TaskPlace {
  readonly array: number;
  readonly task: number;
}

/** An array job. */
export interface ArrayJob {
  /** Pieces of each task, done one after the other. */
  readonly tasks: readonly (readonly Piece[])[];
  /** Tasks of earlier arrays that must have ended well before any task of this one begins. */
  readonly after: readonly TaskPlace[];
}

/**
 * Pieces as array jobs. A task is a piece with those that only it leads to, such as an attack with its evaluation. Tasks that wait for the
 * same ones are an array, so an alignment's attacks wait for it alone.
 *
 * @param pieces what is to be done, each behind those that it needs; what else they need is there
 */
export function arraysOf(pieces: readonly Piece[]): ArrayJob[] {
  const missing = new Set(pieces.map(({ key }) => key));
  const needs = new Map(pieces.map((piece) => [piece.key, needsOf(piece).filter((key) => missing.has(key))]));
  const uses = new Map<Key, number>();
  for (const key of [...needs.values()].flat()) uses.set(key, (uses.get(key) ?? 0) + 1);
  const taskOf = new Map<Key, Piece[]>();
  /** By what they wait for; a group comes behind those that it waits for, since pieces do. */
  const groups = new Map<string, { readonly needed: readonly Key[]; readonly tasks: Piece[][] }>();
  for (const piece of pieces) {
    const needed = needs.get(piece.key) ?? [];
    const [only = ""] = needed;
    const before = needed.length === 1 && uses.get(only) === 1 ? taskOf.get(only) : undefined;
    const task = before ?? [];
    task.push(piece);
    taskOf.set(piece.key, task);
    if (before !== undefined) continue;
    const name = needed.toSorted().join(" ");
    const group = groups.get(name) ?? { needed, tasks: [] };
    group.tasks.push(task);
    groups.set(name, group);
  }
  const arrays: ArrayJob[] = [];
  const placeOf = new Map<readonly Piece[], TaskPlace>();
  for (const { needed, tasks } of groups.values()) {
    const after = needed.map((key) => placeOf.get(taskOf.get(key) as Piece[]) as TaskPlace);
    for (let first = 0; first < tasks.length; first += MOST_TASKS) {
      const part = tasks.slice(first, first + MOST_TASKS);
      for (const [task, one] of part.entries()) placeOf.set(one, { array: arrays.length, task });
      arrays.push({ tasks: part, after });
    }
  }
  return arrays;
}
