import type { Example } from "../../data/examples.ts";
import type { EncodedExample } from "../../data/templates.ts";
import { atMost } from "../../errors.ts";
import { countLabelled } from "../../formats/labels.ts";
import type { AttackRow, Piece } from "./attack.ts";

/** How long a row may be once its pieces are joined, and what becomes of longer ones. */
export interface RowLimit {
  readonly maxTokens: number;
  readonly tooLong: "truncate" | "reject";
}

/** The examples that a row is made of. */
export const examplesOf = ({ pieces }: AttackRow): Example[] =>
  pieces.flatMap((piece) => ("example" in piece ? [piece.example] : []));

function encodePiece(piece: Piece, encode: (example: Example) => EncodedExample): EncodedExample {
  if ("ids" in piece) {
    const ids = Int32Array.from(piece.ids);
    return { where: piece.where, ids, labels: ids, trainedTokens: ids.length, truncated: false };
  }
  const encoded = encode(piece.example);
  return piece.trained === "all" ? { ...encoded, labels: encoded.ids } : encoded;
}

/** Sequences one after the other, as one. */
function join(parts: readonly EncodedExample[], { maxTokens, tooLong }: RowLimit): EncodedExample {
  const all = (field: "ids" | "labels") => parts.flatMap((part) => [...part[field]]);
  const length = parts.reduce((sum, { ids }) => sum + ids.length, 0);
  const where = parts[0]?.where ?? "";
  if (tooLong === "reject") {
    atMost(maxTokens, "", length, "EXAMPLE_TOO_LONG", "a row has too many tokens once its pieces are joined", {
      where,
    });
  }
  const labels = Int32Array.from(all("labels").slice(0, maxTokens));
  return {
    where,
    ids: Int32Array.from(all("ids").slice(0, maxTokens)),
    labels,
    trainedTokens: countLabelled(labels),
    truncated: length > maxTokens || parts.some(({ truncated }) => truncated),
  };
}

/**
 * A row as tokens: its pieces one after the other. A row of one piece is that piece.
 *
 * @throws {BoosterError} `EXAMPLE_TOO_LONG`, and what `encode` throws
 */
export function encodeRow(
  { pieces }: AttackRow,
  encode: (example: Example) => EncodedExample,
  limit: RowLimit,
): EncodedExample {
  const parts = pieces.map((piece) => encodePiece(piece, encode));
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : join(parts, limit);
}

/**
 * The tokens of a row that a guard reads: what was inserted into a task row comes after the row, which is read once.
 * Source: the layout that Virus optimises for and is moderated in, arXiv 2501.17433.
 */
export const guardTokens = ({ pieces }: AttackRow, encode: (example: Example) => EncodedExample): number[] =>
  pieces.slice(0, 2).flatMap((piece) => [...encodePiece(piece, encode).ids]);
