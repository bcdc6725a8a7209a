import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { env } from "onnxruntime-node";

export interface Table {
  readonly title: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A figure that was to be reached, and the one that was. */
export interface Target {
  readonly what: string;
  readonly value: number;
  /** `at least` or `at most` this. */
  readonly sense: "at least" | "at most";
  readonly wanted: number;
  readonly unit: string;
}

/** What one workload gave. */
export interface Section {
  readonly title: string;
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
  /** What was left out and why, and what a reader has to know. */
  readonly notes: readonly string[];
  /** Everything that was measured, for `--json`. */
  readonly data: unknown;
}

/** Shown where nothing was measured. */
export const NOTHING = "–";

/** Three significant digits without an exponent: 0.723, 1.24, 174. */
export const figure = (value: number): string =>
  value === 0 ? "0" : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));

export const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
};

const reached = ({ value, sense, wanted }: Target): boolean =>
  sense === "at least" ? value >= wanted : value <= wanted;

/** A Markdown table with columns of even width: readable as it is. First column left, others right. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) =>
    Math.max(...[title, ...rows.map((row) => row[i] ?? "")].map((x) => x.length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(header), line(rule), ...rows.map(line)].join("\n");
}

/** A workload as Markdown. */
export function renderSection({ title, tables, targets, notes }: Section): string {
  const goals = targets.map((target) => [
    target.what,
    `${target.sense} ${target.wanted} ${target.unit}`.trim(),
    `${figure(target.value)} ${target.unit}`.trim(),
    reached(target) ? "yes" : "no",
  ]);
  return [
    `## ${title}`,
    ...tables.map((table) => `${table.title}\n\n${renderTable(table.header, table.rows)}`),
    ...(goals.length === 0 ? [] : [renderTable(["target", "wanted", "got", "reached"], goals)]),
    ...(notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join("\n")]),
  ].join("\n\n");
}

/** What the figures depend on, without anything that names the machine. */
export const environment = (): Readonly<Record<string, string>> => ({
  date: new Date().toISOString().slice(0, 10),
  processor: `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} cores, ${(totalmem() / 1e9).toFixed(0)} GB`,
  system: `${process.platform} ${process.arch}`,
  node: process.versions.node,
  "load before the run": loadavg()[0]?.toFixed(1) ?? "unknown",
  onnxruntime: env.versions.node ?? "unknown",
});

/** The results file: what it was measured on, and every workload. */
export function renderReport(where: Readonly<Record<string, string>>, sections: readonly string[]): string {
  const facts = Object.entries(where).map(([name, value]) => `- ${name}: ${value}`);
  return [
    "# Benchmark results",
    "Written by `npm run bench`; [benchmarks.md](benchmarks.md) says what each figure means.",
    facts.join("\n"),
    ...sections,
    "",
  ].join("\n\n");
}
