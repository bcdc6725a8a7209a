/** Seconds for which a worker may be silent. */
export const LEASE_SECONDS = 30;

/** Looks come every few seconds. Of what was between two that are further apart nobody can tell who was silent: the database may have answered nobody. */
const GAP_SECONDS = 10;

/**
 * Who has fallen silent, by one clock that only moves forward: each of those who are watched has a mark that changes whenever it says something.
 * One whose mark stands still for a whole lease, through looks that came one after another, is silent. Where looks failed for a while,
 * or the looker has just begun, everybody has a whole lease from then on.
 */
export class Silence {
  #seen: ReadonlyMap<string, { readonly mark: string; readonly since: number }> = new Map();
  #last = Number.NEGATIVE_INFINITY;

  constructor(
    /** Seconds, from anywhere, never back. */
    private readonly monotonic: () => number = () => performance.now() / 1000,
    private readonly lease = LEASE_SECONDS,
  ) {}

  /** Takes what a look has found, by name, and says who is silent. */
  look(marks: ReadonlyMap<string, string>): ReadonlySet<string> {
    const now = this.monotonic();
    const before = now - this.#last > GAP_SECONDS ? undefined : this.#seen;
    this.#last = now;
    this.#seen = new Map(
      [...marks].map(([name, mark]) => {
        const known = before?.get(name);
        return [name, known?.mark === mark ? known : { mark, since: now }];
      }),
    );
    return new Set([...this.#seen].flatMap(([name, { since }]) => (now - since >= this.lease ? [name] : [])));
  }
}
