import { mean } from "../evaluate/statistics.ts";
import type { Aggregate, Cell } from "./aggregate.ts";
import { linearAxis, percentAxis, strengthAxis } from "./axis.ts";
import type { Chart, ChartPoint, Series } from "./chart.ts";
import { type Line, linesOf } from "./ranking.ts";
import type { AttackPointEntry, ExperimentResult, ScoreName, StrengthEntry } from "./result.ts";

/** A chart before anyone has said how large it is to be drawn. */
export type Figure = Omit<Chart, "id" | "width" | "height" | "named">;

/** A score against attack strength, one line a method, with intervals and single seeds. */
export function strengthFigure(
  result: ExperimentResult,
  aggregate: Aggregate,
  score: ScoreName,
  label: string,
): Figure {
  const { cells } = aggregate;
  const axis = strengthAxis(result.strengths);
  const series = linesOf(result, aggregate).map(({ method, ...slot }): Series => {
    const points = cells.flatMap((cell): ChartPoint[] => {
      const value = cell.after[score];
      if (cell.method !== method || value === undefined) return [];
      const { mean: y, low, high, values } = value;
      return [{ x: axis.placeOf(cell.strength), y, low, high, dots: values.length > 1 ? values : [] }];
    });
    return { name: method.name, ...slot, points: points.toSorted((a, b) => a.x - b.x) };
  });
  const shown = series.filter(({ points }) => points.length > 0);
  return {
    description: `${label} against attack strength: ${shown.map(({ name, points }) => `${name} ${points.map(({ y }) => y.toFixed(0)).join(", ")}`).join("; ")}.`,
    x: axis,
    y: percentAxis(label),
    series: shown,
    markers: "all",
    ...(score === "harmful" ? { bar: { value: result.breakAt, text: `broken from ${result.breakAt} %` } } : {}),
  };
}

/** HS against FA, one path a method from the weakest attack to the strongest: what harm costs in use. */
export function utilityFigure(result: ExperimentResult, aggregate: Aggregate): Figure | undefined {
  const { cells } = aggregate;
  const series = linesOf(result, aggregate).flatMap(({ method, ...slot }): Series[] => {
    const points = cells.flatMap((cell): ChartPoint[] => {
      const { harmful, accuracy } = cell.after;
      if (cell.method !== method || harmful === undefined || accuracy === undefined) return [];
      return [{ x: accuracy.mean, y: harmful.mean }];
    });
    return points.length === 0 ? [] : [{ name: method.name, ...slot, points }];
  });
  if (series.length === 0) return undefined;
  return {
    description:
      "Harmful score against fine-tuning accuracy, one path a method from the weakest attack to the strongest.",
    x: linearAxis(
      "Fine-tuning accuracy (FA), %",
      series.flatMap(({ points }) => points.map(({ x }) => x)),
      6,
    ),
    y: percentAxis("Harmful score (HS), %"),
    series,
    markers: "growing",
    bar: { value: result.breakAt, text: `broken from ${result.breakAt} %` },
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
function meanLine({ method, ...slot }: Line, seeds: readonly (readonly ChartPoint[])[]): Series[] {
  const curves = seeds.filter((curve) => curve.length > 0);
  const [first = []] = curves;
  const byStep = curves.map((curve) => new Map(curve.map(({ x, y }) => [x, y])));
  const points = first.flatMap(({ x }) => {
    const ys = byStep.flatMap((curve) => curve.get(x) ?? []);
    return ys.length === curves.length ? [{ x, y: mean(ys) }] : [];
  });
  if (points.length === 0) return [];
  return [
    { name: method.name, ...slot, points: thin(points), ...(curves.length > 1 ? { seeds: curves.map(thin) } : {}) },
  ];
}

function stepFigure(description: string, xLabel: string, yLabel: string, series: readonly Series[]): Figure[] {
  const all = series.flatMap((line) => [...line.points, ...(line.seeds ?? []).flat()]);
  if (all.length === 0) return [];
  return [
    {
      description,
      x: linearAxis(xLabel, [0, ...all.map(({ x }) => x)], 4, true),
      y: linearAxis(
        yLabel,
        all.map(({ y }) => y),
        4,
      ),
      series,
      markers: "ends",
    },
  ];
}

/** A titled small chart. */
export interface Panel {
  readonly title: string;
  readonly figure: Figure;
}

const QUANTITIES: readonly {
  readonly title: string;
  readonly unit: string;
  value(point: AttackPointEntry): number | undefined;
}[] = [
  {
    title: "Harmful score",
    unit: "HS, %",
    value: ({ harmful }) => (harmful === undefined ? undefined : (100 * harmful.count) / harmful.total),
  },
  {
    title: "Harmful training loss: the attacker's own rows",
    unit: "Loss, nats a token",
    value: (p) => p.harmfulTrainingLoss,
  },
  {
    title: "Harmful testing loss: harmful rows never seen",
    unit: "Loss, nats a token",
    value: (p) => p.harmfulTestingLoss,
  },
  { title: "Alignment loss: are the refusals forgotten?", unit: "Loss, nats a token", value: (p) => p.alignmentLoss },
];

/** HS and losses over the steps of one attack, as far as they were recorded. */
export function attackPanels(result: ExperimentResult, aggregate: Aggregate, strength: StrengthEntry): Panel[] {
  const { cells } = aggregate;
  return QUANTITIES.flatMap(({ title, unit, value }) => {
    const series = linesOf(result, aggregate).flatMap((line) => {
      const { method } = line;
      const runs = cells.find((cell) => cell.method === method && cell.strength === strength)?.runs ?? [];
      const curves = runs.map(({ curve }) =>
        curve.flatMap((point): ChartPoint[] => {
          const y = value(point);
          return y === undefined ? [] : [{ x: point.step, y }];
        }),
      );
      return meanLine(line, curves);
    });
    return stepFigure(`${title} over attack steps`, "Attack step", unit, series).map((figure) => ({
      title,
      figure: unit.startsWith("HS")
        ? {
            ...figure,
            y: percentAxis(unit),
            bar: { value: result.breakAt, text: `broken from ${result.breakAt} %` },
          }
        : figure,
    }));
  });
}

/** Alignment loss, harmful loss, and what one simulated harmful step gains, over the steps of the alignment. */
export function alignmentPanels(result: ExperimentResult, aggregate: Aggregate): Panel[] {
  type Point = ExperimentResult["alignments"][number]["curve"][number];
  const drop = ({ harmfulLossBefore: before, harmfulLossAfter: after }: Point) =>
    before === undefined || after === undefined ? undefined : before - after;
  const quantities: [string, (point: Point) => number | undefined][] = [
    ["Alignment loss", (point) => point.loss],
    ["Harmful loss before the simulated step", (point) => point.harmfulLossBefore],
    ["What one simulated harmful step gains", drop],
  ];
  return quantities.flatMap(([title, value]) => {
    const series = linesOf(result, aggregate).flatMap((line) => {
      const curves = result.alignments
        .filter((alignment) => alignment.method === line.method.id)
        .map(({ curve }) =>
          curve.flatMap((point): ChartPoint[] => {
            const y = value(point);
            return y === undefined ? [] : [{ x: point.step, y }];
          }),
        );
      return meanLine(line, curves);
    });
    const unit = value === drop ? "Drop of the loss, nats a token" : "Loss, nats a token";
    return stepFigure(`${title} over alignment steps`, "Alignment step", unit, series).map((figure) => ({
      title,
      figure,
    }));
  });
}

/** The strength with recorded curves at which the methods' final HS differ most: the one worth a close look. */
export function tellingStrength(result: ExperimentResult, { cells }: Aggregate): StrengthEntry | undefined {
  const spread = (strength: StrengthEntry) => {
    const scores = cells.flatMap((cell: Cell) => (cell.strength === strength ? (cell.after.harmful?.mean ?? []) : []));
    return Math.max(...scores) - Math.min(...scores);
  };
  const recorded = result.strengths.filter((strength) =>
    result.runs.some((run) => run.strength === strength.id && run.curve.length > 0),
  );
  return recorded.toSorted((a, b) => spread(b) - spread(a))[0];
}
