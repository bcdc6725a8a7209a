import type { Tokenizer } from "../../formats/tokenizer.ts";
import { type Chosen, TextStream } from "../../generate/index.ts";
import { tokenOf } from "./token-text.ts";
import type { ServedToken } from "./types.ts";

/** Text that is certain, and tokens where they are told. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly ServedToken[];
}

/** A token with what was told of it, at a place of the text. */
export function servedToken(tokenizer: Tokenizer, { token, logprob, top = [] }: Chosen, offset: number): ServedToken {
  return {
    ...tokenOf(tokenizer, token, logprob ?? null),
    offset,
    top: top.map((one) => tokenOf(tokenizer, one.token, one.logprob)),
  };
}

/**
 * Text of an answer up to the first of its stops, and the tokens that it came from: each comes with the text that it begins, and one that
 * only a stop came from does not come at all.
 */
export class AnswerText {
  private readonly stream: TextStream;
  private waiting: ServedToken[] = [];
  private told = 0;

  /** @param start where the answer begins in all text that is told */
  constructor(
    private readonly tokenizer: Tokenizer,
    stops: readonly string[],
    private readonly start: number,
  ) {
    this.stream = new TextStream(tokenizer, stops);
  }

  /** Whether a stop has been written. */
  get isOver(): boolean {
    return this.stream.isOver;
  }

  /** Where the next token's text begins. */
  get length(): number {
    return this.start + this.stream.seen;
  }

  push(chosen: Chosen): Piece {
    if (chosen.logprob !== undefined) this.waiting.push(servedToken(this.tokenizer, chosen, this.length));
    return this.piece(this.stream.push(chosen.token));
  }

  end(): Piece {
    const { text, tokens } = this.piece(this.stream.end());
    const rest = this.isOver ? [] : this.waiting;
    return { text, tokens: [...tokens, ...rest] };
  }

  private piece(text: string): Piece {
    this.told += text.length;
    const known = this.waiting.findIndex(({ offset }) => offset >= this.start + this.told);
    const tokens = this.waiting.splice(0, known < 0 ? this.waiting.length : known);
    return { text, tokens };
  }
}
