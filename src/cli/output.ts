import { ProgressReporter } from "../train/progress.ts";

/** Control characters out: data and model answers must not move the cursor or change colours. Line breaks and tabs stay. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
export const printable = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\uFFFD");

/** Where a command says what it found: text for people, or one JSON object a line for programs. */
export class Output {
  /** Live on a terminal, a line now and then in a log, JSON for programs. */
  readonly progress: ProgressReporter;

  constructor(readonly json: boolean) {
    this.progress = json ? new ProgressReporter(process.stdout, "json") : new ProgressReporter(process.stderr);
  }

  /** The command's result: the last line for programs, `text()` for people. */
  result(value: Readonly<Record<string, unknown>>, text: () => string): void {
    this.progress.finish();
    process.stdout.write(this.json ? `${JSON.stringify({ type: "result", ...value })}\n` : `${text()}\n`);
  }
}

/** Whether standard output takes colours: a terminal, and nobody asked for none (no-color.org). */
export const colours = (): boolean => process.stdout.isTTY === true && !process.env.NO_COLOR;

/** Rows as aligned columns, numbers written by the caller. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}
