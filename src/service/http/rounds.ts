import type { Principal } from "../domain/principal.ts";

/** Looks for news as long as somebody listens: one look for all who see the same. Nothing is asked while nobody listens. */
export class Rounds<Listener extends { readonly principal: Principal }> {
  readonly #listeners = new Set<Listener>();
  #timer: NodeJS.Timeout | undefined;

  /** @param tell the listeners of one project */
  constructor(
    private readonly tell: (listeners: readonly Listener[]) => Promise<void>,
    private readonly everyMs: number,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** @returns ends the listening */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    this.#timer ??= setTimeout(() => this.#look(), 0);
    return () => void this.#listeners.delete(listener);
  }

  async #look(): Promise<void> {
    try {
      const alike = new Map<string, Listener[]>();
      for (const listener of this.#listeners) {
        const { project, scopes } = listener.principal;
        const sees = project ?? (scopes.includes("review") ? "*" : "");
        alike.set(sees, [...(alike.get(sees) ?? []), listener]);
      }
      for (const listeners of alike.values()) await this.tell(listeners);
    } catch (error) {
      this.onError(error);
    }
    this.#timer = this.#listeners.size === 0 ? undefined : setTimeout(() => this.#look(), this.everyMs);
  }
}
