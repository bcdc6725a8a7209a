import { aggregate } from "./aggregate.ts";
import { durabilityTable } from "./durability.ts";
import { findings, headline, worstCases } from "./findings.ts";
import type { ExperimentResult } from "./result.ts";
import {
  DEFINITIONS,
  dataTable,
  detailTable,
  harmTable,
  methodTable,
  settingsTable,
  strengthTable,
  summaryTable,
  type Table,
  usefulnessTable,
} from "./tables.ts";

/** Text that Markdown shows as it is, on one line. */
export const escapeMarkdown = (text: string): string =>
  text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`*_{}[\]<>|#~$&]/g, "\\$&");

function renderTable({ title, caption, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `## ${escapeMarkdown(title)}`,
    "",
    ...(caption === "" ? [] : [escapeMarkdown(caption), ""]),
    line(columns.map(({ text }) => escapeMarkdown(text))),
    line(columns.map(({ kind }) => (kind === "number" ? "---:" : "---"))),
    ...rows.map((row) =>
      line(
        row.map(({ text, note }) => escapeMarkdown(text) + (note === undefined ? "" : ` (${escapeMarkdown(note)})`)),
      ),
    ),
    "",
  ].join("\n");
}

/** The report as Markdown: headline, findings and all tables; the pictures are in the HTML. */
export function renderMarkdown(result: ExperimentResult): string {
  const found = aggregate(result);
  const data = dataTable(result);
  return [
    `# ${escapeMarkdown(result.title)}`,
    "",
    `**${escapeMarkdown(headline(result, found))}.**`,
    "",
    `${escapeMarkdown(worstCases(result, found))}.`,
    "",
    ...[...findings(result, found), ...result.notes].map((remark) => `- ${escapeMarkdown(remark)}`),
    "",
    ...[
      summaryTable(result, found),
      harmTable(result, found),
      durabilityTable(result, found),
      detailTable(found),
      usefulnessTable(found),
      methodTable(result),
      strengthTable(result),
      ...(data === undefined ? [] : [data]),
      settingsTable(result, found),
    ].map(renderTable),
    "## Terms",
    "",
    ...DEFINITIONS.map(([term, meaning]) => `- **${escapeMarkdown(term)}**: ${escapeMarkdown(meaning)}`),
    "",
  ].join("\n");
}
