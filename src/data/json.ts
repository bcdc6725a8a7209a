import { readJsonRow } from "./json-row.ts";
import { eachLine } from "./lines.ts";
import { MAX_ROW_BYTES, type RowReader } from "./rows.ts";

/** A JSON array of objects. It is cut into its elements first, so that one bad element does not hide the others. */
export const readJson: RowReader = async (bytes, sink) => {
  let element = "";
  let start: { line: number; column: number } | undefined;
  let state: "before" | "within" | "after" | "broken" = "before";
  let depth = 0;
  let inString = false;

  const finish = () => {
    if (start !== undefined) readJsonRow(element, start.line, start.column, sink);
    element = "";
    start = undefined;
  };

  const scan = (text: string, line: number) => {
    let from = 0;
    const stop = (column: number, code: string, problem: string) => {
      state = "broken";
      sink.fault({ line, column, code, problem });
    };
    for (let at = 0; at < text.length && state !== "broken"; at++) {
      const char = text[at];
      if (inString) {
        if (char === "\\") at++;
        else if (char === '"') inString = false;
        continue;
      }
      const isBlank = char === " " || char === "\t";
      if (state !== "within") {
        if (isBlank) continue;
        if (state === "before" && char === "[") state = "within";
        else if (state === "before") stop(at + 1, "JSON_NOT_ARRAY", "expected [ (name a file of JSON Lines .jsonl)");
        else stop(at + 1, "JSON_INVALID", "goes on after the array");
        from = at + 1;
      } else if (depth === 0 && (char === "," || char === "]")) {
        element += text.slice(from, at);
        if (start === undefined && (char === "," || element.includes(","))) start = { line, column: at + 1 };
        finish();
        from = at + 1;
        if (char === "]") state = "after";
      } else {
        if (start === undefined && !isBlank) {
          start = { line, column: at + 1 };
          from = at;
        }
        if (char === '"') inString = true;
        else if (char === "{" || char === "[") depth++;
        else if (char === "}" || char === "]") depth--;
      }
    }
    if (state !== "within" || start === undefined) return;
    element += `${text.slice(from)}\n`;
    if (element.length > MAX_ROW_BYTES) stop(1, "ROW_TOO_LONG", `at most ${MAX_ROW_BYTES} characters are allowed`);
  };

  let lines = 0;
  await eachLine(bytes, (text, line) => {
    lines = line;
    if (state === "broken") return;
    if (typeof text === "string") return scan(text, line);
    state = "broken";
    sink.fault(text);
  });
  if (state === "before" || state === "within") {
    finish();
    sink.fault({ line: lines, column: 1, code: "JSON_INVALID", problem: "ends before the array does" });
  }
};
