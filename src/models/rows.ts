import { type Dim, dim, type ops, type Shape, type Tensor, type TensorType } from "../autodiff/index.ts";
import type { Mapped } from "../runtime/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import { prefixTree } from "./prefix-tree.ts";

/**
 * Rows inside a program, without padding: tokens are one flat axis, on which what rows have in common may stand once. Attention sees
 * them in a grid of lines, where short rows may stand one after the other in one line. Integers are int32.
 */
export interface Rows {
  /** `[tokens]` */
  readonly ids: Tensor;
  /** `[tokens]`: place of each token in its rows. */
  readonly column: Tensor;
  /** `[tokens]`: place of each token in the line where its query stands; its row begins there `column` places before. */
  readonly place: Tensor;
  /** From tokens to `[lines, time]`, where attention sees their keys and values; several rows may read one. */
  readonly grid: ops.Index;
  /** From tokens to `[lines, blocks, ownTime]`, where attention sees their queries: each once. */
  readonly own: ops.Index;
  /** From tokens to those whose successor is asked for, `[labelled]`: they alone are computed to the end. */
  readonly labelled: ops.Index;
  /** From these to `[lines, blocks, queryTime]`, where the last layer's attention sees their queries. */
  readonly queries: ops.Index;
}

export const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });
export const indexTypes = (places: Shape, rows: Dim) => ({ to: int32(...places), back: int32(rows) });

/** Types of rows as a program's arguments; sizes carry a name, so that several can differ in one program. */
export function rowTypes(name: string) {
  const size = (what: string) => dim(`${name}.${what}`);
  const [tokens, lines, labelled] = [size("tokens"), size("lines"), size("labelled")];
  return {
    ids: int32(tokens),
    column: int32(tokens),
    place: int32(tokens),
    grid: { ...indexTypes([lines, size("time")], tokens), readers: int32(size("common"), size("readers")) },
    own: indexTypes([lines, size("ownBlocks"), size("ownTime")], tokens),
    labelled: indexTypes([labelled], tokens),
    queries: indexTypes([lines, size("queryBlocks"), size("queryTime")], labelled),
  };
}

export type RowTypes = ReturnType<typeof rowTypes>;

/** Rows among a program's arguments. Every token stands in the grid, and not every token is labelled. */
export const rowsOf = ({ ids, column, place, grid, own, labelled, queries }: Mapped<RowTypes, Tensor>): Rows => ({
  ids,
  column,
  place,
  grid: { ...grid, padded: true, partial: false },
  own: { ...own, padded: true, partial: false },
  labelled: { ...labelled, padded: false, partial: true },
  queries: { ...queries, padded: true, partial: false },
});

export const indexed = (shape: readonly number[], to: ArrayLike<number>, back: ArrayLike<number>) => ({
  to: tensor("int32", shape, to),
  back: tensor("int32", [back.length], back),
});

/** What stands where in `[lines, length]`, and where each of `count` things stands; the length is that of the longest line by default. */
function placed(
  lines: readonly ArrayLike<number>[],
  count: number,
  length = Math.max(...lines.map((line) => line.length)),
) {
  const [to, back] = [new Int32Array(lines.length * length).fill(-1), new Int32Array(count)];
  lines.forEach((line, l) => {
    for (let place = 0; place < line.length; place++) {
      to[l * length + place] = line[place] as number;
      back[line[place] as number] = l * length + place;
    }
  });
  return { length, to, back, index: () => indexed([lines.length, length], to, back) };
}

/** Queries that are met with all keys at once. */
const BLOCK = 256;

/** `placed` in blocks of equal length: `[lines, blocks, length]`. */
function inBlocks(lines: readonly ArrayLike<number>[], count: number) {
  const longest = Math.max(...lines.map((line) => line.length));
  const blocks = Math.max(1, Math.ceil(longest / BLOCK));
  const length = Math.ceil(longest / blocks);
  const { to, back } = placed(lines, count, blocks * length);
  return indexed([lines.length, blocks, length], to, back);
}

/** A row of token ids; `asked` are the columns whose successor is asked for, in order. */
export interface AskedRow {
  readonly ids: ArrayLike<number>;
  readonly asked: readonly number[];
}

export interface Packing {
  /** What rows have in common stands once, up to the first token of a row whose successor is asked for. Default false. */
  readonly share?: boolean;
  /** Short rows stand in one line of the grid. Default false: each has its own. */
  readonly join?: boolean;
}

/** Rows of tokens without their padding. The numbers are the same however they are packed, to rounding; what is computed is less. */
export function packRows(
  rows: readonly AskedRow[],
  { share = false, join = false }: Packing = {},
): Mapped<RowTypes, HostTensor> {
  const lines = join ? joined(rows.map(({ ids }) => ids.length)) : rows.map((_, row) => [row]);
  const lineOf = new Int32Array(rows.length);
  const start = new Int32Array(rows.length);
  for (const [l, line] of lines.entries()) {
    let end = 0;
    for (const row of line) {
      [lineOf[row], start[row]] = [l, end];
      end += rows[row]?.ids.length ?? 0;
    }
  }
  const { nodes, paths } = prefixTree(
    rows.map(({ ids, asked: [first = 0] }, row) => ({
      ids,
      shareable: share ? first : 0,
      line: lineOf[row] as number,
    })),
  );
  const along = (line: readonly number[], of: (row: number) => Iterable<number>) => line.flatMap((row) => [...of(row)]);
  const grid = placed(
    lines.map((line) => along(line, (row) => paths[row] as Int32Array)),
    nodes.length,
  );
  const common: number[][] = [];
  const owned = lines.map((): number[] => []);
  const placeIn = (row: number, column: number) => (start[row] as number) + column;
  for (const [i, { readers, column, owner }] of nodes.entries()) {
    owned[lineOf[owner] as number]?.push(i);
    if (readers.length === 1) continue;
    grid.back[i] = grid.to.length + common.length;
    common.push(readers.map((row) => (lineOf[row] as number) * grid.length + placeIn(row, column)));
  }
  const labelled: number[] = [];
  const tokenLabelled = new Int32Array(nodes.length).fill(-1);
  const asked = rows.map(({ asked }, row) =>
    asked.map((t) => {
      const token = paths[row]?.[t] as number;
      tokenLabelled[token] = labelled.length;
      return labelled.push(token) - 1;
    }),
  );
  const queries = lines.map((line) => along(line, (row) => asked[row] as number[]));
  const ofNodes = (of: (node: (typeof nodes)[number]) => number) =>
    tensor("int32", [nodes.length], Int32Array.from(nodes, of));
  // Without anything in common one list stands in that nobody reads.
  const lists = placed(common.length > 0 ? common : [[0]], 0);
  return {
    ids: ofNodes(({ id }) => id),
    column: ofNodes(({ column }) => column),
    place: ofNodes(({ owner, column }) => placeIn(owner, column)),
    grid: { ...grid.index(), readers: lists.index().to },
    own: inBlocks(owned, nodes.length),
    labelled: indexed([labelled.length], labelled, tokenLabelled),
    queries: inBlocks(queries, labelled.length),
  };
}

/** Rows by lines that are no longer than the longest row: the longest first, each in the first line that has room. */
function joined(lengths: readonly number[]): number[][] {
  const longest = Math.max(...lengths);
  const lines: { readonly rows: number[]; room: number }[] = [];
  const order = lengths.map((_, row) => row).sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  for (const row of order) {
    const length = lengths[row] as number;
    let line = lines.find(({ room }) => room >= length);
    if (line === undefined) {
      line = { rows: [], room: longest };
      lines.push(line);
    }
    line.rows.push(row);
    line.room -= length;
  }
  return lines.map(({ rows }) => rows);
}
