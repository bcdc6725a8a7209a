import { IGNORE } from "../formats/labels.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import type { EncodedExample } from "./templates.ts";

/** A token as a reader sees it. */
export interface TokenPiece {
  readonly id: number;
  /** What it adds to the text; empty where it only begins a character of several tokens. */
  readonly text: string;
  readonly trained: boolean;
}

/** The tokens of an encoded example with the text that each one adds. */
export function tokenPieces(tokenizer: Tokenizer, { ids, labels }: EncodedExample): TokenPiece[] {
  let shown = "";
  return Array.from(ids, (id, place) => {
    const text = tokenizer.decode(ids.subarray(0, place + 1)).replace(/\uFFFD+$/, "");
    const piece = text.startsWith(shown) ? text.slice(shown.length) : (tokenizer.tokenOf(id) ?? "");
    shown = text;
    // The first token is never predicted, whatever its label.
    return { id, text: piece, trained: place > 0 && labels[place] !== IGNORE };
  });
}
