import { aggregate } from "./aggregate.ts";
import type { Comparison } from "./compare.ts";
import { findings, headline, worstCases } from "./findings.ts";
import type { ExperimentResult } from "./result.ts";
import { flatText, type Table } from "./table.ts";
import { DEFINITIONS, tablesOf } from "./tables.ts";

/** Text that Markdown shows as it is, on one line. */
export const escapeMarkdown = (text: string): string =>
  text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`*_{}[\]<>|#~$&]/g, "\\$&");

/** Two experiments beside each other, as Markdown. */
export const comparisonMarkdown = ({ headline, tables }: Comparison): string =>
  ["# Comparison", "", `**${escapeMarkdown(headline)}.**`, "", ...tables.map(renderTable)].join("\n");

function renderTable({ title, caption, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `## ${escapeMarkdown(title)}`,
    "",
    ...(caption === "" ? [] : [escapeMarkdown(caption), ""]),
    line(columns.map(({ text }) => escapeMarkdown(text))),
    line(columns.map(({ kind }) => (kind === "number" ? "---:" : "---"))),
    ...rows.map((row) => line(row.map((cell) => flatText(cell, escapeMarkdown)))),
    "",
  ].join("\n");
}

/** The report as Markdown: headline, findings and all tables; the pictures are in the HTML. */
export function renderMarkdown(result: ExperimentResult): string {
  const found = aggregate(result);
  const { main, details } = tablesOf(found);
  return [
    `# ${escapeMarkdown(result.title)}`,
    "",
    `**${escapeMarkdown(headline(found))}.**`,
    "",
    `${escapeMarkdown(worstCases(found))}.`,
    "",
    ...[...findings(found), ...result.notes].map((remark) => `- ${escapeMarkdown(remark)}`),
    "",
    ...[...main, ...details].map(renderTable),
    "## Terms",
    "",
    ...DEFINITIONS.map(([term, meaning]) => `- **${escapeMarkdown(term)}**: ${escapeMarkdown(meaning)}`),
    "",
  ].join("\n");
}
