import type { Hub } from "./environment.ts";

/** What a request is for, and who hears of it. */
export interface Asking {
  readonly hub: Hub;
  /** The reference, for messages. */
  readonly what: string;
  /** Tries in a row that bring nothing, before that is an error. */
  readonly tries: number;
  readonly signal: AbortSignal | undefined;
  /** Told of waits. */
  readonly tell: (text: string) => void;
}

/** A failure that another try may cure. */
export class Transient extends Error {
  constructor(
    readonly found: string,
    /** How long the hub asks to wait. */
    readonly delayMs?: number,
  ) {
    super(found);
  }
}

/** An address, as a whole or as seen from another one; undefined for a text that is none. */
export const addressOf = (text: string, from?: string): URL | undefined =>
  URL.canParse(text, from) ? new URL(text, from) : undefined;
