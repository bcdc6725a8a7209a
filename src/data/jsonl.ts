import { readJsonRow } from "./json-row.ts";
import { eachLine } from "./lines.ts";
import type { RowReader } from "./rows.ts";

/** JSON Lines: one object a line; blank lines are skipped. */
export const readJsonl: RowReader = async (bytes, sink) => {
  let isArray = false;
  let isEmpty = true;
  await eachLine(bytes, (text, line) => {
    if (isArray) return;
    if (typeof text !== "string") return sink.fault(text);
    if (text.trim() === "") return;
    if (isEmpty && text.trimStart().startsWith("[")) {
      isArray = true;
      const problem = "begins with [: this is a JSON array, not JSON Lines (name the file .json)";
      return sink.fault({ line, column: 1, code: "JSON_ARRAY", problem });
    }
    isEmpty = false;
    readJsonRow(text, line, 1, sink);
  });
};
