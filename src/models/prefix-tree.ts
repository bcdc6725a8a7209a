/** Rows as a tree of their common beginnings: what a token's hidden states depend on is its prefix alone, so equal prefixes are computed once. */

/** Rows that read one token at most: the sum over its readers has as many terms. */
const MOST_READERS = 16;

/** Token ids of a row, of which those before `shareable` may stand for those of other rows. */
export interface TreeRow {
  readonly ids: ArrayLike<number>;
  readonly shareable: number;
  /** Where attention sees it, beside others. */
  readonly line: number;
}

/** A token that all its readers begin with, up to its column. */
export interface TreeNode {
  readonly id: number;
  /** Its place in each of its rows. */
  readonly column: number;
  /** Rows that read its key and value, in order. */
  readonly readers: number[];
  /** The one of them in which its query stands. */
  owner: number;
}

export interface PrefixTree {
  /** In the order of the rows that have them first: a token comes after those that it sees. */
  readonly nodes: readonly TreeNode[];
  /** Node of each token, row by row. */
  readonly paths: readonly Int32Array[];
}

type Children = Map<number, { readonly node: number; readonly children: Children }>;

/**
 * The tree of a batch.
 *
 * @example
 * prefixTree([{ ids: [1, 5, 9], shareable: 2, line: 0 }, { ids: [1, 5, 7], shareable: 2, line: 1 }]).paths; // [[0, 1, 2], [0, 1, 3]]
 */
export function prefixTree(rows: readonly TreeRow[]): PrefixTree {
  const nodes: TreeNode[] = [];
  const fresh = (id: number, column: number, row: number) => nodes.push({ id, column, readers: [row], owner: row }) - 1;
  const roots: Children = new Map();
  const paths = rows.map(({ ids, shareable }, row) => {
    let level = roots;
    return Int32Array.from({ length: ids.length }, (_, column) => {
      const id = ids[column] as number;
      if (column >= shareable) return fresh(id, column, row);
      let found = level.get(id);
      const readers = found && nodes[found.node]?.readers;
      if (found !== undefined && readers !== undefined && readers.length < MOST_READERS) readers.push(row);
      else {
        found = { node: fresh(id, column, row), children: new Map() };
        level.set(id, found);
      }
      level = found.children;
      return found.node;
    });
  });
  shareOut(nodes, rows);
  return { nodes, paths };
}

/** Gives each token that several rows read to the line with the fewest queries; those that can go to few rows first. */
function shareOut(nodes: readonly TreeNode[], rows: readonly TreeRow[]): void {
  const queries = new Map<number, number>();
  const lineOf = (row: number) => (rows[row] as TreeRow).line;
  const load = (row: number) => queries.get(lineOf(row)) ?? 0;
  const count = ({ owner }: TreeNode) => queries.set(lineOf(owner), load(owner) + 1);
  const common: TreeNode[] = [];
  for (const node of nodes) {
    if (node.readers.length > 1) common.push(node);
    else count(node);
  }
  common.sort((a, b) => a.readers.length - b.readers.length);
  for (const node of common) {
    node.owner = node.readers.reduce((least, row) => (load(row) < load(least) ? row : least));
    count(node);
  }
}
