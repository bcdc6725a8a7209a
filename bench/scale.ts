import { join } from "node:path";
import { z } from "zod";
import { measureInChild } from "./child.ts";
import { mklChoices, peersInstalled, runPeer } from "./peers/peers.ts";
import { figure, gigabytes, median, NOTHING, type Section, type Table, type Target } from "./report.ts";
import type { Shape } from "./workloads.ts";

/** What the others stay at while one of them grows: small enough that the largest of each fits. */
const BASE: Shape = { rows: 4, length: 128, layers: 4, hidden: 192, vocabulary: 8192, rank: 16, adapted: 3 };

/** What grows, each by itself. Long rows come alone, or a batch of them would be most of what grows. */
const AXES: Readonly<Record<string, { readonly values: readonly number[]; readonly beside?: Partial<Shape> }>> = {
  rows: { values: [1, 4, 16, 64] },
  length: { values: [64, 128, 256, 512, 1024, 2048], beside: { rows: 1 } },
  layers: { values: [2, 4, 8, 16, 32] },
  hidden: { values: [96, 192, 384, 768] },
  vocabulary: { values: [2048, 8192, 32_768, 131_072] },
  rank: { values: [4, 16, 64, 128] },
  adapted: { values: [1, 3, 5, 7] },
};

const Ours = z.object({ stepSeconds: z.array(z.number()), startupSeconds: z.number(), peakRssBytes: z.number() });

/** Memory over that of a process which has done next to nothing. */
const IDLE: Partial<Shape> = { rows: 1, length: 8, layers: 1, hidden: 48, vocabulary: 64 };

interface Point {
  readonly value: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly startup: number;
  readonly peerSeconds: number | undefined;
  readonly peerBytes: number | undefined;
}

async function ours(shape: Partial<Shape>, steps: number) {
  const args = ["--workload", "dense", "--steps", String(steps), "--shape", JSON.stringify(shape)];
  return measureInChild(Ours, process.execPath, [join(import.meta.dirname, "ours.js"), ...args]);
}

/**
 * Slope of log y over log x, by least squares: y grows with this power of x. Of the upper half of the points, where what does not grow
 * counts least.
 */
export function exponent(points: readonly (readonly [x: number, y: number])[]): number {
  const upper = points.slice(Math.floor((points.length - 1) / 2)).map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (of: 0 | 1) => upper.reduce((sum, point) => sum + point[of], 0) / upper.length;
  const [x, y] = [mean(0), mean(1)];
  const along = upper.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return along / upper.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
}

/** How time, memory and start-up of an SFT step grow with each size, beside plain PyTorch. */
export async function scale({
  quick,
  progress,
}: {
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}): Promise<Section> {
  const steps = quick ? 2 : 5;
  const mkl = mklChoices().at(-1) ?? "as installed";
  const hasPeer = peersInstalled();
  const idle = (await ours(IDLE, 1)).peakRssBytes;
  const peer = async (shape: Partial<Shape>) => {
    if (!hasPeer) return undefined;
    const { stepSeconds, peakRssBytes } = await runPeer(
      "dense.py",
      ["--steps", String(steps), "--shape", JSON.stringify(shape)],
      mkl,
    );
    return { seconds: median(stepSeconds), bytes: peakRssBytes };
  };
  progress("Growth: what a process takes that does nothing");
  const peerIdle = (await peer(IDLE))?.bytes ?? 0;
  const found: Record<string, Point[]> = {};
  for (const [axis, { values, beside }] of Object.entries(AXES)) {
    const points: Point[] = [];
    for (const value of quick ? values.slice(0, 3) : values) {
      progress(`Growth: ${axis} ${value}`);
      const shape = { ...BASE, ...beside, [axis]: value };
      const own = await ours(shape, steps);
      const other = await peer(shape);
      points.push({
        value,
        seconds: median(own.stepSeconds),
        bytes: own.peakRssBytes - idle,
        startup: own.startupSeconds,
        peerSeconds: other?.seconds,
        peerBytes: other && other.bytes - peerIdle,
      });
    }
    found[axis] = points;
  }
  const power = (axis: string, of: (point: Point) => number | undefined) => {
    const known = (found[axis] as Point[]).flatMap((point) => {
      const y = of(point);
      return y === undefined || y <= 0 ? [] : [[point.value, y] as const];
    });
    return known.length < 2 ? Number.NaN : exponent(known);
  };
  const shown = (value: number | undefined, as: (value: number) => string) =>
    value === undefined || Number.isNaN(value) ? NOTHING : as(value);
  const tables = Object.entries(found).map(
    ([axis, points]): Table => ({
      title: `With ${axis}`,
      header: [axis, "s", "GB", "start-up s", "PyTorch s", "PyTorch GB"],
      rows: points.map((point) => [
        String(point.value),
        figure(point.seconds),
        gigabytes(point.bytes),
        figure(point.startup),
        shown(point.peerSeconds, figure),
        shown(point.peerBytes, gigabytes),
      ]),
    }),
  );
  const powers: Table = {
    title: "Grows with which power of it",
    header: ["of", "time", "memory", "start-up", "PyTorch's time", "PyTorch's memory"],
    rows: Object.keys(found).map((axis) => [
      axis,
      ...[
        power(axis, ({ seconds }) => seconds),
        power(axis, ({ bytes }) => bytes),
        power(axis, ({ startup }) => startup),
        power(axis, ({ peerSeconds }) => peerSeconds),
        power(axis, ({ peerBytes }) => peerBytes),
      ].map((value) => shown(value, (x) => x.toFixed(2))),
    ]),
  };
  const targets: Target[] = [
    {
      what: "memory's power of the length of rows",
      value: power("length", ({ bytes }) => bytes),
      sense: "at most",
      wanted: 1.1,
      unit: "",
    },
  ];
  return {
    title: "Growth: a step of SFT",
    tables: [powers, ...tables],
    targets: quick ? [] : targets,
    notes: [
      `The others stay at ${JSON.stringify(BASE)}; with length there is one row. Memory is what the process had at most, less what an idle one has.`,
      "Powers are slopes in double logarithmic scale over the upper half of the points. Of PyTorch: eager, the same step.",
    ],
    data: found,
  };
}
