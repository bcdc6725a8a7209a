import { ops, type Tensor, type Tree, tree } from "../../../autodiff/index.ts";
import type { Outcome, StepContext } from "../../method.ts";
import { client, type FeditState } from "./clients.ts";
import { type FeditOptions, isAdaptive, isRobust } from "./options.ts";
import { ROBUST } from "./robust.ts";
import { adaptive, fedAvg, fedAvgM } from "./server.ts";

/** All of a tree in one vector, in the order of its names, and back. */
const flat = (x: Tree): Tensor =>
  ops.concat(
    Object.values(x).map((part) => ops.reshape(part, [-1])),
    0,
  );
function like(shape: Tree, vector: Tensor): Tree {
  let start = 0;
  return tree.mapTree(shape, (x) => {
    const from = start;
    start += x.shape.reduce<number>((size, dim) => size * (dim as number), 1);
    return ops.reshape(ops.slice(vector, 0, from, start), x.shape);
  });
}

/** The end of a round: the clients' weights become the global ones. */
export function aggregate({ state, inputs }: StepContext<FeditState>, chosen: FeditOptions): Outcome<FeditState> {
  const { aggregation, perRound, maliciousShare } = chosen;
  const parts = Array.from({ length: perRound }, (_, i) => state[client(i)] as Tree);
  const shares = parts.map((_, i) => ops.reshape(ops.slice(inputs.shares as Tensor, 0, i, i + 1), []));
  const begun = state.global as Tree;
  if (isRobust(aggregation)) {
    const round = { global: flat(begun), clients: parts.map(flat), malicious: Math.round(perRound * maliciousShare) };
    const global = like(begun, ROBUST[aggregation](round).global);
    return { weights: global, state: { global } };
  }
  if (aggregation === "fedavgm" || isAdaptive(aggregation)) {
    const server = {
      momentum: flat(state.momentum as Tree),
      secondMoment: flat(state.secondMoment as Tree),
      first: inputs.first as Tensor,
    };
    const handed = { global: flat(begun), clients: parts.map(flat), shares };
    const next = isAdaptive(aggregation) ? adaptive(aggregation, handed, server) : fedAvgM(handed, server);
    const { global, momentum, secondMoment } = tree.mapTree(next, (x) => x);
    const back = { global: like(begun, global as Tensor), momentum: like(begun, momentum as Tensor) };
    return {
      weights: back.global,
      state: {
        ...back,
        secondMoment: like(begun, secondMoment as Tensor),
      },
    };
  }
  const global = tree.mapTree(begun, (_, name) =>
    fedAvg({ clients: parts.map((part) => part[name] as Tensor), shares }),
  );
  const scaffold = aggregation === "scaffold" && {
    control: tree.step(state.control as Tree, state.deltas as Tree, 1 / chosen.clients),
    deltas: tree.scale(state.deltas as Tree, 0),
  };
  return { weights: global, state: { global, ...scaffold } };
}
