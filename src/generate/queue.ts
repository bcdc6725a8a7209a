import { atMost, BoosterError } from "../errors.ts";
import type { Row } from "./row.ts";

export interface QueueLimits {
  /** Rows that may wait. Default: any number. */
  readonly waiting?: number;
  /** Of these, rows of one group. Default: as many. */
  readonly waitingPerGroup?: number;
  /** Seconds that a row may wait. Default: any time. */
  readonly waitingSeconds?: number;
}

/** Rows that wait to be let in. */
export class Queue {
  private rows: Row[] = [];

  constructor(private readonly limits: QueueLimits) {}

  get length(): number {
    return this.rows.length;
  }

  all = (): readonly Row[] => this.rows;

  /** @throws {BoosterError} `ENGINE_OVERLOADED` */
  push(row: Row): void {
    const { waiting = Number.POSITIVE_INFINITY, waitingPerGroup = waiting } = this.limits;
    atMost(waiting - 1, "waiting", this.rows.length, "ENGINE_OVERLOADED", "too many requests are waiting");
    const own = this.rows.filter(({ request }) => request.group === row.request.group).length;
    atMost(waitingPerGroup - 1, "waiting", own, "ENGINE_OVERLOADED", "too many requests of yours are waiting");
    this.rows.push(row);
  }

  /** Lets those go that are cancelled or have waited too long. */
  tidy(): void {
    const { waitingSeconds = Number.POSITIVE_INFINITY } = this.limits;
    const now = performance.now();
    for (const { submission, since } of this.rows) {
      if (now - since <= waitingSeconds * 1000) continue;
      submission.end(
        new BoosterError("ENGINE_OVERLOADED", "the request waited too long for its turn", {
          expected: `at most ${waitingSeconds} s`,
        }),
      );
      submission.cancel();
    }
    this.rows = this.rows.filter(({ submission }) => !submission.isCancelled);
  }

  /**
   * Takes out rows, each time of the group that has the fewest inside, its oldest one.
   *
   * @param inside rows that were let in before
   * @param decide `no`: nobody passes this row; `later`: others may, since it waits for something else than room
   */
  admit(inside: readonly Row[], decide: (row: Row) => "yes" | "later" | "no"): void {
    const counts = new Map<string, number>();
    const countOf = ({ request: { group = "" } }: Row) => counts.get(group) ?? 0;
    const count = (row: Row) => counts.set(row.request.group ?? "", countOf(row) + 1);
    for (const row of inside) count(row);
    const left = new Set(this.rows);
    for (;;) {
      let next: Row | undefined;
      for (const row of left) if (next === undefined || countOf(row) < countOf(next)) next = row;
      if (next === undefined) return;
      const decision = decide(next);
      if (decision === "no") return;
      left.delete(next);
      if (decision === "later") continue;
      const admitted = next;
      count(admitted);
      this.rows = this.rows.filter((row) => row !== admitted);
    }
  }
}
