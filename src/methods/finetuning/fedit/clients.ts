import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { squaredDistance } from "../../distance.ts";
import type { Outcome, StepContext, StepDirection } from "../../method.ts";
import { type Copy, copy } from "../../state.ts";
import { total } from "../../sums.ts";
import { type FeditOptions, isAdaptive } from "./options.ts";
import { corrected, newControl } from "./server.ts";

export const client = (place: number) => `client${place}`;
const control = (of: number) => `control${of}`;
const numbered = (count: number, name: (at: number) => string, from: "weights" | "zeros") =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), copy(from)]));

/** The copies that only some aggregations need have numbers or are there for these alone. */
export function stateOf({ perRound, clients, aggregation }: FeditOptions): Readonly<Record<string, Copy>> {
  const moments = aggregation === "fedavgm" || isAdaptive(aggregation);
  return {
    global: copy("weights"),
    ...numbered(perRound, client, "weights"),
    ...(moments && { momentum: copy("zeros"), secondMoment: copy("zeros") }),
    ...(aggregation === "scaffold" && {
      ...numbered(clients, control, "zeros"),
      control: copy("zeros"),
      deltas: copy("zeros"),
    }),
  };
}
export type FeditState = ReturnType<typeof stateOf>;
export type Context = StepContext<FeditState>;

/** `μ/2 ‖w - g‖²` */
export const proximal = (weights: Tree, global: Tree, mu: number): Tensor =>
  ops.mul(squaredDistance(weights, global), mu / 2);

/** A client's own control and the way back by it. */
const ownControl = ({ state, inputs }: Context, { clients }: FeditOptions): Tree =>
  tree.mapTree(state.control as Tree, (_, name) =>
    total(
      Array.from({ length: clients }, (_, i) => {
        const mine = ops.reshape(ops.slice(inputs.client as Tensor, 0, i, i + 1), []);
        return ops.mul((state[control(i)] as Tree)[name] as Tensor, mine);
      }),
    ),
  );

const rateOf = ({ learningRate, inputs }: Context): Tensor => ops.mul(learningRate, inputs.rate as Tensor);

/** SCAFFOLD's correction of the client's weights, which follows each of its steps. */
const afterStep = (context: Context, chosen: FeditOptions): Tree => {
  const own = ownControl(context, chosen);
  const rate = rateOf(context);
  return tree.mapTree(context.weights, (w, name) =>
    corrected(w, (context.state.control as Tree)[name] as Tensor, own[name] as Tensor, rate),
  );
};

/** A step of SFT of one client, from the global weights where it is its first one. */
export function localStep(context: Context, chosen: FeditOptions, first = false): StepDirection<FeditState> {
  const { loss, inputs, state } = context;
  const weights = chosen.aggregation === "scaffold" && !first ? afterStep(context, chosen) : context.weights;
  const { value, grad } = valueAndGrad((w) => {
    const own = loss(w, "user");
    return chosen.aggregation === "fedprox" ? ops.add(own, proximal(w, state.global as Tree, chosen.mu)) : own;
  })(weights);
  return {
    weights,
    gradient: grad,
    ...(first && { restart: true }),
    ...(chosen.leastRate < 1 && { rates: tree.mapTree(weights, () => inputs.rate as Tensor) }),
    metrics: { loss: value },
  };
}

/** Puts the client's weights by, and with SCAFFOLD its new control. */
export function collect(context: Context, chosen: FeditOptions, place: number): Outcome<FeditState> {
  const { weights, state, inputs } = context;
  if (chosen.aggregation !== "scaffold") return { state: { [client(place)]: weights } };
  const moved = afterStep(context, chosen);
  const own = ownControl(context, chosen);
  const rate = rateOf(context);
  const next = tree.mapTree(moved, (w, name) => {
    const of = (part: Tree | Tensor | undefined) => (part as Tree)[name] as Tensor;
    return newControl(of(state.global), w, of(state.control), own[name] as Tensor, rate, chosen.localSteps);
  });
  const controls = Array.from({ length: chosen.clients }, (_, i) => {
    const mine = ops.less(0.5, ops.reshape(ops.slice(inputs.client as Tensor, 0, i, i + 1), []));
    const before = state[control(i)] as Tree;
    return [control(i), tree.mapTree(next, (x, name) => ops.where(mine, x, before[name] as Tensor))];
  });
  return {
    state: {
      [client(place)]: moved,
      deltas: tree.add(state.deltas as Tree, tree.sub(next, own)),
      ...Object.fromEntries(controls),
    },
  };
}
