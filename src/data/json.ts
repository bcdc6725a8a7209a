import { buffer } from "node:stream/consumers";
import { readJsonRow } from "./json-row.ts";
import { badOffset } from "./lines.ts";
import { MAX_ROW_BYTES, type RowReader } from "./rows.ts";

/** Where the array element that begins at `from` ends: at its comma or bracket, or at the end of the text. */
function endOfElement(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
    } else if (char === "{" || char === "[") depth++;
    else if ((char === "}" || char === "]") && depth-- === 0) return at;
    else if (char === "," && depth === 0) return at;
  }
  return text.length;
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text[at] ?? "")) at++;
  return at;
}

/** A JSON array of objects. It is cut into its elements first, so that one bad element does not hide the others. */
export const readJson: RowReader = async (bytes, sink) => {
  const content = await buffer(bytes);
  const bad = badOffset(content);
  const text = new TextDecoder().decode(content);

  let line = 1;
  let lineStart = 0;
  let newline = text.indexOf("\n");
  const place = (at: number) => {
    while (newline >= 0 && newline < at) {
      line++;
      lineStart = newline + 1;
      newline = text.indexOf("\n", lineStart);
    }
    return { line, column: at - lineStart + 1 };
  };

  if (bad !== undefined) return sink.fault({ ...place(bad), code: "INVALID_UTF8", problem: "is not UTF-8" });
  let at = skipBlanks(text, 0);
  if (text[at] !== "[") {
    const problem = "expected an array: [ (name a file of JSON Lines .jsonl)";
    return sink.fault({ ...place(at), code: "JSON_NOT_ARRAY", problem });
  }
  at = skipBlanks(text, at + 1);
  if (text[at] === "]") at++;
  else {
    for (let more = true; more; ) {
      at = skipBlanks(text, at);
      const end = endOfElement(text, at);
      const { line: startLine, column } = place(at);
      let whole = false;
      if (end - at > MAX_ROW_BYTES) {
        const problem = `has ${end - at} characters, at most ${MAX_ROW_BYTES} are allowed`;
        sink.fault({ line: startLine, column, code: "ROW_TOO_LONG", problem });
      } else {
        whole = readJsonRow(text.slice(at, end), startLine, column, sink);
      }
      // A brace or quote too few swallows what follows: the next line that begins like this one is the next element.
      const indent = text.slice(lineStart, at);
      const next = whole || indent.trim() !== "" ? -1 : text.indexOf(`\n${indent}{`, at);
      if (next >= 0 && next < end) {
        at = next + 1;
        continue;
      }
      if (text[end] !== "," && text[end] !== "]") {
        return sink.fault({ ...place(end), code: "JSON_INVALID", problem: "the array does not end here" });
      }
      more = text[end] === ",";
      at = end + 1;
    }
  }
  at = skipBlanks(text, at);
  if (at < text.length) sink.fault({ ...place(at), code: "JSON_INVALID", problem: "goes on after the array" });
};
