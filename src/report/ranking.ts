import type { Aggregate, MethodSummary } from "./aggregate.ts";
import type { ExperimentResult, MethodEntry } from "./result.ts";

/** As many lines as can be told apart by colour in one chart. */
const MOST_LINES = 8;
/** Trivial baselines among them. */
const MOST_BASELINES = 2;

/** Where along the attacks a method breaks; Infinity where it does not, -1 where no attack leaves a useful model. */
export const place = ({ result }: Aggregate, { breaksAt, worst }: MethodSummary): number => {
  if (worst === undefined) return -1;
  return breaksAt === undefined ? Infinity : result.strengths.indexOf(breaksAt);
};

/** Methods in the order of how long they last: those that leave fine-tuning useful first, of them the most lasting; at equal strength the one with the lower mean HS. */
export function rank(found: Aggregate) {
  const { summaries, reference } = found;
  const order = (a: MethodSummary, b: MethodSummary) => {
    const [mine, other] = [place(found, a), place(found, b)];
    return mine === other ? (a.area?.mean ?? 100) - (b.area?.mean ?? 100) : other - mine;
  };
  const tried = summaries.filter(({ before }) => before !== undefined);
  const others = tried.filter(({ method }) => method !== reference).toSorted(order);
  return {
    reference: summaries.find(({ method }) => method === reference) as MethodSummary,
    defences: others.filter(({ method }) => method.kind === "method"),
    baselines: others.filter(({ method }) => method.kind === "baseline"),
  };
}

/** A method in the charts: one of the lines with a colour and a name, or in the grey behind them. */
export interface Line {
  readonly method: MethodEntry;
  /** Chooses colour, marker and dash, the same in every chart; absent in the grey. */
  readonly slot: number | undefined;
}

/**
 * What the charts draw, the grey first. With more methods than colours the reference, the best baselines and the most
 * lasting defences stand out; the tables name all of them.
 */
export function linesOf(found: Aggregate): Line[] {
  const { methods } = found.result;
  const { reference, defences, baselines } = rank(found);
  const told = [reference, ...baselines.slice(0, MOST_BASELINES), ...defences].slice(0, MOST_LINES);
  const isColoured = (method: MethodEntry) =>
    methods.length <= MOST_LINES || told.some((summary) => summary.method === method);
  const grey = methods.filter((method) => !isColoured(method)).map((method) => ({ method, slot: undefined }));
  return [...grey, ...methods.filter(isColoured).map((method, slot) => ({ method, slot }))];
}

/** How many methods the charts show in grey. */
export const greyOf = ({ methods }: ExperimentResult): number =>
  methods.length <= MOST_LINES ? 0 : methods.length - MOST_LINES;
