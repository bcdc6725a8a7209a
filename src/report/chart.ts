import type { Axis } from "./axis.ts";
import { counted } from "./format.ts";
import { dash, element, escapeHtml, marker, pathOf, slotClass, text } from "./svg.ts";

/** A measured point; `low` and `high` draw an interval, `dots` the single seeds. */
export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
  readonly dots?: readonly number[];
  /** No line leads here from the point before. */
  readonly apart?: boolean;
}

/** A line of a chart. */
export interface Series {
  readonly name: string;
  /** Chooses colour, marker and dash, so that a method looks the same everywhere; absent: a thin grey line without a name. */
  readonly slot: number | undefined;
  readonly points: readonly ChartPoint[];
  /** Thin lines behind, one a seed. */
  readonly seeds?: readonly (readonly ChartPoint[])[];
}

/** What a chart shows and how large it is, in CSS pixels. */
export interface Chart {
  readonly id: string;
  /** Read aloud in place of the picture. */
  readonly description: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly bar?: { readonly value: number; readonly text: string };
  readonly width: number;
  readonly height: number;
  /** Names at the ends of the lines; without them the page must carry a legend. */
  readonly named: boolean;
  /**
   * "all": at every point, side by side where series share an x; "growing": at every point, larger towards the end of the path;
   * "ends": at the last point, for curves of many points.
   */
  readonly markers: "all" | "growing" | "ends";
}

const LABEL_GAP = 15;
/** Of a wide sans-serif, so that nothing is cut where the page falls back to one. */
const PIXELS_PER_LETTER = 7.9;
/** Under an axis letters are smaller. */
const PIXELS_PER_TICK_LETTER = 6.8;
/** Room for the numbers of the upright axis. */
const LEFT = 52;

const short = (name: string, most: number): string => (name.length > most ? `${name.slice(0, most - 1)}\u2026` : name);

/** Moves labels apart to at least `LABEL_GAP`, each as near to its line's end as the others allow, within the plot. */
function spreadLabels(wanted: readonly number[], bottom: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0) || a - b);
  const groups: { members: number[]; centre: number }[] = [];
  for (const index of order) {
    let group = { members: [index], centre: wanted[index] ?? 0 };
    for (let last = groups.at(-1); last !== undefined; last = groups.at(-1)) {
      const between = ((last.members.length + group.members.length) * LABEL_GAP) / 2;
      if (group.centre - last.centre >= between) break;
      groups.pop();
      const members = [...last.members, ...group.members];
      group = { members, centre: members.reduce((sum, i) => sum + (wanted[i] ?? 0), 0) / members.length };
    }
    const half = ((group.members.length - 1) * LABEL_GAP) / 2;
    group.centre = Math.max(half + LABEL_GAP / 2, Math.min(group.centre, bottom - half));
    groups.push(group);
  }
  const placed: number[] = [];
  for (const { members, centre } of groups) {
    for (const [i, index] of members.entries()) placed[index] = centre + (i - (members.length - 1) / 2) * LABEL_GAP;
  }
  return placed;
}

/** A line chart as one SVG element. No scripts, no links; colours come from the page's style sheet. */
export function renderChart(chart: Chart): string {
  const { x, y, series, width } = chart;
  const most = Math.floor(width / 30);
  const told = series.filter(({ slot }) => slot !== undefined);
  const longest = Math.max(0, ...told.map(({ name }) => short(name, most).length));
  // Room at both sides, so that intervals side by side stay inside the plot.
  const inset = { all: Math.min(26, 10 + told.length * 3), growing: 10, ends: 4 }[chart.markers];
  const beside = chart.named ? 30 + longest * PIXELS_PER_LETTER : 18;
  const plot = width - LEFT - beside - 2 * inset;
  const crowded = x.ticks.slice(1).some(({ value, text: label }, i) => {
    const before = x.ticks[i] as (typeof x.ticks)[number];
    const room = (x.position(value) - x.position(before.value)) * plot;
    return room < ((before.text.length + label.length) / 2) * PIXELS_PER_TICK_LETTER + 10;
  });
  const slanted = crowded ? x.ticks.map(({ text: label }) => short(label, Math.floor(width / 18))) : [];
  const reach = Math.max(0, ...slanted.map((label) => label.length * PIXELS_PER_LETTER * Math.SQRT1_2));
  // Slanted labels make the picture taller, not the plot flatter.
  const height = chart.height + Math.max(0, reach - 8);
  const margin = {
    left: Math.max(LEFT, (slanted[0]?.length ?? 0) * PIXELS_PER_LETTER * Math.SQRT1_2 + 4 - inset),
    right: beside,
    top: 14,
    bottom: crowded ? 40 + reach : 48,
  };
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const px = (value: number) => margin.left + inset + x.position(value) * (right - margin.left - 2 * inset);
  const py = (value: number) => bottom - y.position(value) * (bottom - margin.top);

  const parts: string[] = [
    element("title", { id: `${chart.id}-title` }, escapeHtml(chart.description)),
    ...y.ticks.flatMap(({ value, text: label }) => [
      element("line", { class: "grid", x1: margin.left, x2: right, y1: py(value), y2: py(value) }),
      text(margin.left - 8, py(value) + 4, label, { class: "tick", "text-anchor": "end" }),
    ]),
    ...x.ticks.flatMap(({ value, text: label }, i) => [
      element("line", { class: "notch", x1: px(value), x2: px(value), y1: bottom, y2: bottom + 5 }),
      crowded
        ? text(px(value) + 4, bottom + 17, slanted[i] ?? label, {
            class: "tick",
            "text-anchor": "end",
            transform: `rotate(-45 ${px(value) + 4} ${bottom + 17})`,
          })
        : text(px(value), bottom + 19, label, { class: "tick", "text-anchor": "middle" }),
    ]),
    element("line", { class: "axis", x1: margin.left, x2: right, y1: bottom, y2: bottom }),
    text((margin.left + right) / 2, height - 7, x.label, { class: "label", "text-anchor": "middle" }),
    text(0, 0, y.label, {
      class: "label",
      "text-anchor": "middle",
      transform: `translate(13 ${(margin.top + bottom) / 2}) rotate(-90)`,
    }),
  ];
  if (chart.bar !== undefined) {
    const at = py(chart.bar.value);
    parts.push(element("line", { class: "bar", x1: margin.left, x2: right, y1: at, y2: at }));
  }
  for (const { slot, points } of series) {
    if (slot === undefined) parts.push(element("path", { class: "other", d: pathThrough(points, px, py) }));
  }
  const dodge = (index: number) =>
    chart.markers === "all" ? (index - (told.length - 1) / 2) * Math.min(7, (2 * inset) / told.length) : 0;
  for (const [index, line] of told.entries()) parts.push(drawSeries(line, chart, (v) => px(v) + dodge(index), py));
  if (chart.bar !== undefined) {
    parts.push(text(margin.left + 5, py(chart.bar.value) - 5, chart.bar.text, { class: "bar-text" }));
  }
  if (chart.named) {
    const ends = told.flatMap(({ name, slot = 0, points }, index) => {
      const end = points.at(-1);
      return end === undefined ? [] : [{ name, slot, x: px(end.x) + dodge(index), y: py(end.y) }];
    });
    const wanted = ends.map(({ y }) => y);
    for (const [i, at] of spreadLabels(wanted, bottom).entries()) {
      const { name, slot, x, y } = ends[i] as (typeof ends)[number];
      const leader = element("path", { class: "leader", d: pathOf([x + 7, y], [right + 8, at]) });
      const label = text(right + 12, at + 4, short(name, most), { class: "name" });
      parts.push(element("g", { class: slotClass(slot) }, leader + label));
    }
  }
  return element(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${chart.id}-title`, class: "chart" },
    parts.join(""),
  );
}

type Place = (value: number) => number;

/** From point to point, but to those that stand apart. */
function pathThrough(points: readonly ChartPoint[], px: Place, py: Place): string {
  const starts = points.flatMap(({ apart }, i) => (i === 0 || apart ? [i] : []));
  return starts
    .map((start, i) =>
      pathOf(...points.slice(start, starts[i + 1]).map((point) => [px(point.x), py(point.y)] as const)),
    )
    .join("");
}

function drawSeries(line: Series, chart: Chart, px: Place, py: Place): string {
  const { slot = 0 } = line;
  const parts = (line.seeds ?? []).map((seed) => element("path", { class: "seed", d: pathThrough(seed, px, py) }));
  for (const { x: value, low, high, dots = [] } of line.points) {
    const x = px(value);
    if (low !== undefined && high !== undefined && high > low) {
      const ends = [py(low), py(high)] as const;
      const caps = ends.map((y) => pathOf([x - 3, y], [x + 3, y]));
      const d = pathOf([x, ends[0]], [x, ends[1]]) + caps.join("");
      parts.push(element("path", { class: "interval", d }));
    }
    for (const dot of dots) parts.push(element("circle", { class: "dot", cx: x, cy: py(dot), r: 2 }));
  }
  const d = pathThrough(line.points, px, py);
  parts.push(element("path", { class: "line", d, "stroke-dasharray": dash(slot) || "none" }));
  const last = line.points.length - 1;
  for (const [i, point] of line.points.entries()) {
    if (chart.markers === "ends" && i < last) continue;
    const radius = { all: 4.5, growing: 3 + (3 * i) / Math.max(1, last), ends: 3.5 }[chart.markers];
    parts.push(marker(slot, px(point.x), py(point.y), radius));
  }
  return element("g", { class: slotClass(slot) }, parts.join(""));
}

/** A list of names with their line and marker, for charts without names at the lines; the grey lines share an entry. */
export function renderLegend(series: readonly Pick<Series, "name" | "slot">[]): string {
  const entry = (name: string, content: string, colour: string) => {
    const attributes = { viewBox: "0 0 34 14", width: "34", height: "14", "aria-hidden": "true", class: colour };
    return element("li", {}, element("svg", attributes, content) + element("span", {}, escapeHtml(name)));
  };
  const items = series.flatMap(({ name, slot }) => {
    if (slot === undefined) return [];
    const line = element("path", { class: "line", d: "M1 7H33", "stroke-dasharray": dash(slot) || "none" });
    return [entry(name, line + marker(slot, 17, 7, 4), slotClass(slot))];
  });
  const grey = series.filter(({ slot }) => slot === undefined).length;
  if (grey > 0) items.push(entry(counted(grey, "other"), element("path", { class: "other", d: "M1 7H33" }), ""));
  return element("ul", { class: "legend" }, items.join(""));
}
