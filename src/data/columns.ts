import { BoosterError } from "../errors.ts";
import { parsedJson } from "../formats/exact-json.ts";
import { isNothing } from "./messages.ts";
import { cellOf, type Row } from "./rows.ts";

/** Whether a name is another one with a slip: other capitals or signs, a letter too many or too few, or two in each other's place. */
function isSlipOf(typed: string, name: string): boolean {
  const [a = "", b = ""] = [typed, name].map((text) => text.toLowerCase().replace(/[^a-z]/g, ""));
  if (a === b) return true;
  if (Math.min(a.length, b.length) < 5) return false;
  let at = 0;
  while (a[at] === b[at]) at++;
  const [restA, restB] = [a.slice(at), b.slice(at)];
  if (restA.slice(1) === restB || restA === restB.slice(1)) return true;
  return restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0];
}

/** The meaningful column that a column is or is meant to be; undefined where it is another. */
export const meaningOf = (column: string, names: readonly string[]): string | undefined =>
  names.find((name) => name === column) ?? names.find((name) => isSlipOf(column, name));

/** @throws {BoosterError} `COLUMN_UNREAD` where the column says something */
export function refuseColumn(row: Row, column: string, meant: string): void {
  if (isNothing(parsedJson(cellOf(row, column)))) return;
  if (column !== meant) {
    if (Object.hasOwn(row.values, meant)) return;
    throw new BoosterError("COLUMN_UNREAD", `has a column "${column}", which is not read: "${meant}" may be meant`, {
      hint: "Give it the name that is meant, or another one, or remove it.",
    });
  }
  throw new BoosterError("COLUMN_UNREAD", `has a column "${column}", which is not read with rows of this form`, {
    hint: "Write what it says into the columns that are read, or remove it.",
  });
}
