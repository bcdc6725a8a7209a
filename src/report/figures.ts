import { mean } from "../evaluate/statistics.ts";
import { type Aggregate, cellAt, gainOf } from "./aggregate.ts";
import { linearAxis, percentAxis, strengthAxis } from "./axis.ts";
import type { Chart, ChartPoint, Series } from "./chart.ts";
import { durability } from "./durability.ts";
import { percent } from "./estimate.ts";
import { type Line, linesOf } from "./ranking.ts";
import type {
  AlignmentPointEntry,
  AttackPointEntry,
  ExperimentResult,
  MethodEntry,
  ScoreName,
  StrengthEntry,
} from "./result.ts";
import { bestSoFar } from "./search.ts";
import { sweepOf } from "./sweep.ts";

/** A chart before anyone has said how large it is to be drawn. */
export type Figure = Omit<Chart, "id" | "width" | "height" | "named">;

const barOf = ({ breakAt }: ExperimentResult) => ({ value: breakAt, text: `broken from ${breakAt} %` });

/** One line a method, of those that have points. */
const seriesOf = (found: Aggregate, pointsOf: (method: MethodEntry) => readonly ChartPoint[]): Series[] =>
  linesOf(found)
    .map(({ method, slot }) => ({ name: method.name, slot, points: pointsOf(method) }))
    .filter(({ points }) => points.length > 0);

/** Whether an attack differs from the one listed before it in more than how far one and the same thing is gone. */
function isApart(strengths: readonly StrengthEntry[], strength: StrengthEntry): boolean {
  const before = strengths[strengths.indexOf(strength) - 1];
  if (sweepOf(strengths).quantity !== undefined || before === undefined) return false;
  const { axis } = strength;
  return axis === undefined || (before !== strengths[0] && before.axis?.name !== axis.name);
}

/** A score against attack strength, one line a method, with intervals and single seeds. */
export function strengthFigure(found: Aggregate, score: ScoreName, label: string): Figure {
  const { result, cells } = found;
  const { strengths } = result;
  const { positionOf } = sweepOf(strengths);
  const series = seriesOf(found, (method) =>
    cells
      .flatMap((cell): ChartPoint[] => {
        const value = cell.after[score];
        if (cell.method !== method || value === undefined) return [];
        const { mean: y, low, high, values } = value;
        const dots = values.length > 1 ? values : [];
        return [{ x: positionOf(cell.strength), y, low, high, dots, apart: isApart(strengths, cell.strength) }];
      })
      .toSorted((a, b) => a.x - b.x),
  );
  return {
    description: `${label} against attack strength: ${series.map(({ name, points }) => `${name} ${points.map(({ y }) => y.toFixed(0)).join(", ")}`).join("; ")}.`,
    x: strengthAxis(strengths),
    y: percentAxis(label),
    series,
    markers: "all",
    ...(score === "harmful" && { bar: barOf(result) }),
  };
}

/** HS against FA, one path a method from the weakest attack to the strongest: what harm costs in use. */
export function utilityFigure(found: Aggregate): Figure | undefined {
  const series = seriesOf(found, (method) =>
    found.cells.flatMap(({ method: own, after: { harmful, accuracy } }) =>
      own === method && harmful !== undefined && accuracy !== undefined ? [{ x: accuracy.mean, y: harmful.mean }] : [],
    ),
  );
  if (series.length === 0) return undefined;
  const accuracies = series.flatMap(({ points }) => points.map(({ x }) => x));
  return {
    description:
      "Harmful score against fine-tuning accuracy, one path a method from the weakest attack to the strongest.",
    x: linearAxis("Fine-tuning accuracy (FA), %", accuracies, 6),
    y: percentAxis("Harmful score (HS), %"),
    series,
    markers: "growing",
    bar: barOf(found.result),
  };
}

/** The best HS found after 1, 2, ... trials, one line a method; undefined with a single trial. */
export function durabilityFigure(found: Aggregate): Figure | undefined {
  const { strengths, search, methods } = found.result;
  const entries = durability(found);
  const bests = methods.map((method) => ({
    method,
    best:
      search === undefined
        ? (entries.find((entry) => entry.method === method)?.trials.map(({ best }) => best) ?? [])
        : bestSoFar(found, method.id),
  }));
  const most = search === undefined ? strengths.length : Math.max(...bests.map(({ best }) => best.length));
  if (most < 2) return undefined;
  const tried = Array.from({ length: most }, (_, i) => i + 1);
  return {
    description: "The highest harmful score that an attacker has found after so many attack configurations.",
    x: linearAxis("Attack configurations tried", tried, Math.min(10, most - 1), true),
    y: percentAxis("Best HS so far, %"),
    series: seriesOf(found, (method) =>
      (bests.find((entry) => entry.method === method)?.best ?? []).map((y, i) => ({ x: i + 1, y })),
    ),
    markers: "all",
    bar: barOf(found.result),
  };
}

/** More points than this a line cannot show. */
const MOST_POINTS = 160;

/** A long curve as the means of equal stretches, so that a page stays small and noise does not hide the course. */
function thin(points: readonly ChartPoint[]): readonly ChartPoint[] {
  const size = Math.ceil(points.length / MOST_POINTS);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const stretch = points.slice(i * size, (i + 1) * size);
    return { x: mean(stretch.map(({ x }) => x)), y: mean(stretch.map(({ y }) => y)) };
  });
}

/** The mean over seeds at the steps that every seed has, and each seed's own curve. */
function meanLine({ method, slot }: Line, seeds: readonly (readonly ChartPoint[])[]): Series[] {
  const curves = seeds.filter((curve) => curve.length > 0);
  const [first = []] = curves;
  const byStep = curves.map((curve) => new Map(curve.map(({ x, y }) => [x, y])));
  const points = first.flatMap(({ x }) => {
    const ys = byStep.flatMap((curve) => curve.get(x) ?? []);
    return ys.length === curves.length ? [{ x, y: mean(ys) }] : [];
  });
  if (points.length === 0) return [];
  return [{ name: method.name, slot, points: thin(points), seeds: curves.length > 1 ? curves.map(thin) : [] }];
}

/** A titled small chart. */
export interface Panel {
  readonly title: string;
  readonly figure: Figure;
}

/** What a panel shows: title, unit, and the value at a point of a curve. */
type Quantity<Point> = readonly [title: string, unit: string, value: (point: Point) => number | undefined];

/** One panel for each quantity that was recorded. */
function panels<Point extends { readonly step: number }>(
  found: Aggregate,
  stage: "Attack" | "Alignment",
  quantities: readonly Quantity<Point>[],
  curvesOf: (method: MethodEntry) => readonly (readonly Point[])[],
): Panel[] {
  return quantities.flatMap(([title, unit, value]) => {
    const pointsOf = (curve: readonly Point[]) =>
      curve.flatMap((point): ChartPoint[] => {
        const y = value(point);
        return y === undefined ? [] : [{ x: point.step, y }];
      });
    const series = linesOf(found).flatMap((line) => meanLine(line, curvesOf(line.method).map(pointsOf)));
    const all = series.flatMap(({ points, seeds = [] }) => [...points, ...seeds.flat()]);
    if (all.length === 0) return [];
    const [xs, ys] = [all.map(({ x }) => x), all.map(({ y }) => y)];
    const figure: Figure = {
      description: `${title} over ${stage.toLowerCase()} steps`,
      x: linearAxis(`${stage} step`, [0, ...xs], 4, true),
      y: unit === HS ? percentAxis(unit) : linearAxis(unit, ys, 4),
      series,
      markers: "ends",
      ...(unit === HS && { bar: barOf(found.result) }),
    };
    return [{ title, figure }];
  });
}

const HS = "HS, %";
const LOSS = "Loss, nats a token";

const ATTACK_QUANTITIES: readonly Quantity<AttackPointEntry>[] = [
  ["Harmful score", HS, ({ harmful }) => harmful && percent(harmful)],
  ["Harmful training loss: the attacker's own rows", LOSS, (point) => point.harmfulTrainingLoss],
  ["Harmful testing loss: harmful rows never seen", LOSS, (point) => point.harmfulTestingLoss],
  ["Alignment loss: are the refusals forgotten?", LOSS, (point) => point.alignmentLoss],
];

/** HS and losses over the steps of one attack, as far as they were recorded. */
export const attackPanels = (found: Aggregate, strength: StrengthEntry): Panel[] =>
  panels(found, "Attack", ATTACK_QUANTITIES, (method) =>
    (cellAt(found, method, strength)?.runs ?? []).map(({ curve }) => curve),
  );

const ALIGNMENT_QUANTITIES: readonly Quantity<AlignmentPointEntry>[] = [
  ["Alignment loss", LOSS, ({ loss }) => loss],
  ["Harmful loss before the simulated step", LOSS, (point) => point.harmfulLossBefore],
  ["What one simulated harmful step gains", "Drop of the loss, nats a token", gainOf],
];

/** Alignment loss, harmful loss, and what one simulated harmful step gains, over the steps of the alignment. */
export const alignmentPanels = (found: Aggregate): Panel[] =>
  panels(found, "Alignment", ALIGNMENT_QUANTITIES, (method) =>
    found.result.alignments.filter((alignment) => alignment.method === method.id).map(({ curve }) => curve),
  );

/** The strength with recorded curves at which the methods' final HS differ most: the one worth a close look. */
export function tellingStrength({ result, cells }: Aggregate): StrengthEntry | undefined {
  const spread = (strength: StrengthEntry) => {
    const scores = cells.flatMap((cell) => (cell.strength === strength ? (cell.after.harmful?.mean ?? []) : []));
    return Math.max(...scores) - Math.min(...scores);
  };
  const recorded = result.strengths.filter((strength) =>
    result.runs.some((run) => run.strength === strength.id && run.curve.length > 0),
  );
  return recorded.toSorted((a, b) => spread(b) - spread(a))[0];
}
