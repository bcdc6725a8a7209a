import { BoosterError } from "../../../errors.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import type { Call, RunFacts } from "../../method.ts";
import type { FeditOptions } from "./options.ts";
import { roundRate } from "./server.ts";

/** First row of each client's stretch, and the end. */
export const stretch = (rows: number, clients: number, of: number): readonly [from: number, to: number] => [
  Math.floor((rows * of) / clients),
  Math.floor((rows * (of + 1)) / clients),
];

/** Rows of a client's step: all of its rows before one comes again, in an order of the round's own. */
function rowsOf({ rows, seed, batch }: RunFacts, chosen: FeditOptions, round: number, of: number, local: number) {
  const [from, to] = stretch(rows.user ?? 0, chosen.clients, of);
  const size = Math.min(batch("user", 0).length, to - from);
  return Int32Array.from({ length: size }, (_, i) => {
    const place = local * size + i;
    const order = new RandomStream(seed, `fedit/rows/${of}`).permutation(
      to - from,
      round + Math.floor(place / (to - from)),
    );
    return from + (order[place % (to - from)] as number);
  });
}

/** The calls of a step: a client's step, and what follows the last one of a client and of a round. */
export function callsOf(step: number, facts: RunFacts, chosen: FeditOptions): readonly Call[] {
  const { clients, perRound, localSteps, leastRate } = chosen;
  const perWhole = perRound * localSteps;
  const round = Math.floor(step / perWhole);
  const place = Math.floor((step % perWhole) / localSteps);
  const local = step % localSteps;
  const drawn = new RandomStream(facts.seed, "fedit/clients").permutation(clients, round).slice(0, perRound);
  const of = drawn[place] as number;
  const sizes = Array.from(drawn, (each) => {
    const [from, to] = stretch(facts.rows.user ?? 0, clients, each);
    return to - from;
  });
  const all = sizes.reduce((a, b) => a + b, 0);
  const rate = roundRate(round, Math.ceil(facts.steps / perWhole), 1, leastRate);
  const inputs = () => ({
    rate: tensor("float32", [], [rate]),
    first: tensor("float32", [], [Number(round === 0)]),
    shares: tensor(
      "float32",
      [perRound],
      sizes.map((size) => size / all),
    ),
    client: tensor(
      "float32",
      [clients],
      Array.from({ length: clients }, (_, i) => Number(i === of)),
    ),
  });
  const user = clients === 1 ? facts.batch("user", step) : rowsOf(facts, chosen, round, of, local);
  const calls: Call[] = [{ program: local === 0 ? "first" : "step", rows: { user }, inputs }];
  if (local === localSteps - 1) calls.push({ program: `collect${place}`, inputs });
  if (local === localSteps - 1 && place === perRound - 1) calls.push({ program: "aggregate", inputs });
  return calls;
}

/** Steps that the last round lacks. @throws {BoosterError} `DATA_TOO_FEW_ROWS` where a client would have no row, `OPTIONS_CONFLICT` */
export function stepsToRoundsEnd(
  { steps, rows }: Pick<RunFacts, "steps" | "rows">,
  { clients, perRound, localSteps }: FeditOptions,
): number {
  if ((rows.user ?? 0) < clients) {
    throw new BoosterError("DATA_TOO_FEW_ROWS", "there are fewer rows than clients", {
      expected: `at least ${clients}`,
      found: String(rows.user ?? 0),
      where: "method.clients",
    });
  }
  if (perRound > clients) {
    throw new BoosterError("OPTIONS_CONFLICT", "a round has more clients than there are", {
      expected: `at most ${clients}`,
      found: String(perRound),
      where: "method.perRound",
    });
  }
  const round = perRound * localSteps;
  return Math.ceil(steps / round) * round - steps;
}
