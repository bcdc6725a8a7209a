import { ops, type Tensor } from "../../../autodiff/index.ts";
import { average, total } from "../../sums.ts";

const { add, div, mul, sub } = ops;

/** Constants of the server's optimisers, as in the authors' code. */
export interface ServerOptions {
  readonly tau: number;
  readonly eta: number;
  readonly beta1: number;
  readonly beta2: number;
}
export const SERVER: ServerOptions = { tau: 1e-3, eta: 1e-3, beta1: 0.9, beta2: 0.99 };

/** What the server carries from round to round, vectors; no round has been before where `first` is 1. */
export interface ServerState {
  readonly momentum: Tensor;
  readonly secondMoment: Tensor;
  /** Scalar, 1 in the first round, else 0. */
  readonly first: Tensor;
}

/** Clients' vectors, with the shares of their data, where all began. */
export interface Handed {
  readonly global: Tensor;
  readonly clients: readonly Tensor[];
  /** Scalars, sum 1. */
  readonly shares: readonly Tensor[];
}

/** The mean of the clients, weighed by their data. Source: McMahan et al., arXiv 1602.05629. */
export const fedAvg = ({ clients, shares }: Pick<Handed, "clients" | "shares">): Tensor =>
  total(clients.map((x, i) => mul(x, shares[i] as Tensor)));

/** In the first round the whole update, later a part of it. */
const averaged = ({ momentum, first }: ServerState, update: Tensor, beta1: number): Tensor =>
  ops.where(ops.less(0.5, first), update, add(mul(momentum, beta1), mul(update, 1 - beta1)));

/** `m <- 0.9 m + 0.1 D`, `g <- g + m`, D the weighted mean of the updates, which alone is m in the first round. */
export function fedAvgM(handed: Handed, state: ServerState, { beta1 }: ServerOptions = SERVER) {
  const momentum = averaged(state, sub(fedAvg(handed), handed.global), beta1);
  return { global: add(handed.global, momentum), momentum, secondMoment: state.secondMoment };
}

export const ADAPTIVE = ["fedadagrad", "fedyogi", "fedadam"] as const;

/**
 * An adaptive optimiser at the server, on the plain mean D of the updates:
 *
 *     m as in FedAvgM (fedadagrad: D),  v from τ² on:
 *     fedadagrad  v + m²        fedyogi  v - (1 - β2) m² sign(v - m²)        fedadam  β2 v + (1 - β2) m²
 *     g <- g + η m / (sqrt(v) + τ)
 *
 * Source: Reddi et al., arXiv 2003.00295, with m in the place of D in v, as in the code of Ye et al., arXiv 2406.10630.
 */
export function adaptive(
  kind: (typeof ADAPTIVE)[number],
  { global, clients }: Pick<Handed, "global" | "clients">,
  state: ServerState,
  { tau, eta, beta1, beta2 }: ServerOptions = SERVER,
) {
  const update = sub(average(clients), global);
  const momentum = kind === "fedadagrad" ? update : averaged(state, update, beta1);
  const before = ops.where(ops.less(0.5, state.first), ops.constant(tau * tau, global.dtype), state.secondMoment);
  const square = mul(momentum, momentum);
  const secondMoment = {
    fedadagrad: () => add(before, square),
    fedyogi: () => sub(before, mul(mul(square, 1 - beta2), ops.sign(sub(before, square)))),
    fedadam: () => add(mul(before, beta2), mul(square, 1 - beta2)),
  }[kind]();
  const moved = div(mul(momentum, eta), add(ops.sqrt(secondMoment), tau));
  return { global: add(global, moved), momentum, secondMoment };
}

/** SCAFFOLD's `w - η (c - c_i)`, after each of a client's steps. Source: Karimireddy et al., arXiv 1910.06378. */
export const corrected = (weights: Tensor, control: Tensor, own: Tensor, rate: Tensor): Tensor =>
  sub(weights, mul(sub(control, own), rate));

/** SCAFFOLD's new c_i: `(g - w) / (steps η) - (c - c_i)`. */
export const newControl = (
  global: Tensor,
  weights: Tensor,
  control: Tensor,
  own: Tensor,
  rate: Tensor,
  steps: number,
): Tensor => sub(div(sub(global, weights), mul(rate, steps)), sub(control, own));

/** A rate of one round: half a cosine from the first to the least one. */
export const roundRate = (round: number, rounds: number, initial: number, least: number): number =>
  least + 0.5 * (initial - least) * (1 + Math.cos((Math.PI * round) / rounds));
