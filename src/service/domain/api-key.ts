import { sha256Of } from "./canonical.ts";
import { randomBase62 } from "./ids.ts";

/** A key as it is handed out: `sk-booster-<id>-<secret><check>`. The check lets clients and log scrubbers tell it from other text without asking. */
const FORM = /^sk-booster-([0-9A-Za-z]{10})-([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

/** 43 letters of 62 are 256 bits. */
const SECRET = 43;

const check = (body: string): string => keyHash(body).slice(0, 6);

/** A new key, with the id under which it is found; or another secret under an id that there is. */
export function makeKey(id = randomBase62(10)): { readonly id: string; readonly presented: string } {
  const body = `sk-booster-${id}-${randomBase62(SECRET)}`;
  return { id, presented: body + check(body) };
}

/** The id of a key that has the right form, or nothing. */
export function keyIdOf(presented: string): string | undefined {
  const [, id, , end] = FORM.exec(presented) ?? [];
  return id !== undefined && end === check(presented.slice(0, -6)) ? id : undefined;
}

/** What is stored of a key. A slow hash would protect a secret that can be guessed, not 256 random bits. */
export const keyHash = (presented: string): string => sha256Of(presented);
