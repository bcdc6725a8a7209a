import { aggregate } from "./aggregate.ts";
import type { Comparison } from "./compare.ts";
import { headline, worstCases } from "./findings.ts";
import type { ExperimentResult } from "./result.ts";
import { flatText, type Table } from "./table.ts";
import { harmTable, moderatorText, summaryTable } from "./tables.ts";

/** Control characters out: a name must not move the cursor or change colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
const escapeTerminal = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");

function renderTable({ title, columns, rows }: Table): string[] {
  const lines = [columns.map(({ text }) => escapeTerminal(text)), ...rows.map((row) => row.map(inOneLine))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => [...(line[i] ?? "")].length)));
  const pad = (value: string, i: number) => {
    const space = " ".repeat((widths[i] ?? 0) - [...value].length);
    return columns[i]?.kind === "number" ? space + value : value + space;
  };
  const [head = "", ...body] = lines.map((line) => line.map(pad).join("  ").trimEnd());
  return [escapeTerminal(title), "", head, widths.map((width) => "\u2500".repeat(width)).join("  "), ...body, ""];
}

const inOneLine = (cell: Table["rows"][number][number]): string => flatText(cell, escapeTerminal);

/** Two experiments beside each other, for a terminal. */
export const comparisonText = ({ headline, tables }: Comparison): string =>
  [escapeTerminal(headline), "", ...tables.flatMap(renderTable)].join("\n");

/** The headline and the two main tables as plain text for a terminal, without colours. */
export function renderTerminalTable(result: ExperimentResult): string {
  const found = aggregate(result);
  return [
    escapeTerminal(headline(found)),
    escapeTerminal(worstCases(found)),
    escapeTerminal(`Moderator: ${moderatorText(result.moderator)}`),
    ...result.notes.map(escapeTerminal),
    "",
    ...renderTable(summaryTable(found)),
    ...renderTable(harmTable(found)),
  ].join("\n");
}
