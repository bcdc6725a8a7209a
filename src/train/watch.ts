import { stopIfAsked, type Watch } from "../errors.ts";
import type { Following } from "./event.ts";
import { duration } from "./progress.ts";

/** Milliseconds between two events about the same work. */
const INTERVAL = 100;

/**
 * Follows long work that is done in parts: says how far it is and for how much longer, and ends it where that is asked.
 *
 * @param preparing nothing that a stop would have to save is there yet
 * @example
 * const watch = watchOf({ emit, signal });
 * watch("reading rows: row", 12, 128); // { type: "work", text: "reading rows: row 12 of 128, 40 s left" }
 */
export function watchOf({ emit, signal }: Following, { preparing = false } = {}): Watch {
  let at = { work: "", start: 0, told: 0 };
  return (work, done, total) => {
    stopIfAsked(signal, work.replace(/:.*/, ""));
    const now = performance.now();
    // What comes before the first part, such as compiling, says nothing about those that follow.
    if (work !== at.work || done === 0) at = { work, start: now, told: Number.NEGATIVE_INFINITY };
    if (now - at.told < INTERVAL) return;
    at.told = now;
    const left = done === 0 ? "" : `, ${duration((((now - at.start) / done) * (total - done)) / 1000)} left`;
    const text = `${work} ${Math.floor(done)} of ${total}${left}`;
    emit?.({ type: "work", text, ...(preparing && { preparing }) });
  };
}
