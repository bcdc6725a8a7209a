import type { TokenPiece } from "../data/token-pieces.ts";
import { printable } from "./output.ts";

const DIM = "\x1b[2m";
const TRAINED = "\x1b[1;32m";
const RESET = "\x1b[0m";

/** Line breaks are tokens too: they are shown and still break the line. */
const visible = (text: string): string => printable(text).replaceAll("\n", "\u23ce\n").replaceAll("\t", "\u2192");

/**
 * Tokens as text, `|` between them. Trained ones are bold green and the others dim; without colours trained stretches stand
 * in `⟦ ⟧`.
 */
export function renderTokens(pieces: readonly TokenPiece[], colours: boolean): string {
  const runs: TokenPiece[][] = [];
  for (const piece of pieces) {
    const run = runs.at(-1);
    if (run?.[0]?.trained === piece.trained) run.push(piece);
    else runs.push([piece]);
  }
  const texts = runs.map((run) => {
    const text = run
      .map((piece) => visible(piece.text))
      .join(colours ? `${DIM}|${RESET}${run[0]?.trained ? TRAINED : DIM}` : "|");
    if (colours) return `${run[0]?.trained ? TRAINED : DIM}${text}${RESET}`;
    return run[0]?.trained ? `\u27e6${text}\u27e7` : text;
  });
  return texts.join(colours ? `${DIM}|${RESET}` : "|");
}

/** Smallest, middle, 95th percentile and largest of some lengths. */
export function lengthSummary(lengths: readonly number[]) {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) };
}

export const describeLengths = ({ min, median, p95, max }: ReturnType<typeof lengthSummary>): string =>
  `${min} to ${max} tokens, median ${median}, 95 % up to ${p95}`;
