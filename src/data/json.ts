import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { findJsonFault } from "../formats/strict-json.ts";
import { readJsonRow } from "./json-row.ts";
import { readJsonl } from "./jsonl.ts";
import { beforeFault, NOT_UTF8 } from "./lines.ts";
import { charactersIn, MAX_JSON_DEPTH, MAX_ROW_BYTES, type RowReader, type RowSink } from "./rows.ts";

/** Where the value that begins at `from` in an array or object ends: at its comma or bracket, or at the end of the text. */
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

/** Line and column of characters, asked for from the first to the last. */
function placer(text: string): (at: number) => { line: number; column: number; lineStart: number } {
  const lineEnd = text.includes("\n") ? "\n" : "\r";
  let [line, lineStart, counted, column] = [1, 0, 0, 1];
  let next = text.indexOf(lineEnd);
  return (at) => {
    while (next >= 0 && next < at) {
      [line, lineStart, counted, column] = [line + 1, next + 1, next + 1, 1];
      next = text.indexOf(lineEnd, lineStart);
    }
    column += charactersIn(text.slice(counted, at));
    counted = at;
    return { line, column, lineStart };
  };
}

type Place = ReturnType<typeof placer>;

/** The rows of an array that begins at `from`, and where it ends; undefined where it does not. */
function readArray(text: string, from: number, placeOf: Place, sink: RowSink): number | undefined {
  let at = skipBlanks(text, from + 1);
  if (text[at] === "]") return at + 1;
  for (;;) {
    at = skipBlanks(text, at);
    const end = endOfElement(text, at);
    const { line, column, lineStart } = placeOf(at);
    let whole = false;
    if (end - at > MAX_ROW_BYTES) {
      const problem = `has ${end - at} characters, at most ${MAX_ROW_BYTES} are allowed`;
      sink.fault({ line, column, code: "ROW_TOO_LONG", problem });
    } else {
      whole = readJsonRow(text.slice(at, end), line, column, sink);
    }
    // A brace or quote too few swallows what follows: the next line that begins like this one is the next element.
    const indent = text.slice(lineStart, at);
    const next = whole || indent.trim() !== "" ? -1 : text.indexOf(`\n${indent}{`, at);
    if (next >= 0 && next < end) {
      at = next + 1;
      continue;
    }
    if (text[end] !== "," && text[end] !== "]") {
      const { line, column } = placeOf(end);
      sink.fault({ line, column, code: "JSON_INVALID", problem: "the array does not end here" });
      return undefined;
    }
    at = end + 1;
    if (text[end] === "]") return at;
  }
}

/** Names that files give their list of rows, where it stands in an object with what is to say about it. */
const LISTS = ["data", "rows", "examples", "instances", "items", "train"];
/** Keys of such an object. */
const MAX_KEYS = 64;

interface Wrapper {
  /** Where lists of rows begin, by name. */
  readonly lists: ReadonlyMap<string, number>;
  readonly others: readonly string[];
}

/** The object that begins at `from` as a wrapper of rows; undefined where it is none, or is followed by something. */
function wrapperAt(text: string, from: number): Wrapper | undefined {
  const lists = new Map<string, number>();
  const others: string[] = [];
  const key = /[ \t\r\n]*("(?:[^"\\\n]|\\.){0,200}")[ \t\r\n]*:[ \t\r\n]*/y;
  key.lastIndex = from + 1;
  for (let count = 0; count < MAX_KEYS; count++) {
    const name = key.exec(text)?.[1]?.slice(1, -1);
    if (name === undefined) return undefined;
    const start = key.lastIndex;
    const isList =
      LISTS.includes(name) && text[start] === "[" && "{]".includes(text[skipBlanks(text, start + 1)] ?? "");
    if (isList) lists.set(name, start);
    const end = endOfElement(text, start);
    if (!isList) {
      if (findJsonFault(text.slice(start, end), { depth: MAX_JSON_DEPTH, values: MAX_ROW_BYTES })) return undefined;
      others.push(name);
    }
    // A list that does not end well is the rows' fault, told where they are read.
    if (end >= text.length || text[end] === "]") return isList ? { lists, others } : undefined;
    if (text[end] === "}")
      return skipBlanks(text, end + 1) < text.length || lists.size === 0 ? undefined : { lists, others };
    key.lastIndex = end + 1;
  }
  return undefined;
}

/** Whether a text that begins with an object goes on as JSON Lines: its first line is whole, or its second begins another. */
function isJsonLines(text: string): boolean {
  const [first = "", second = "{"] = text.split(/[\r\n]+\s*/, 2);
  return second.startsWith("{") || findJsonFault(first, { depth: MAX_JSON_DEPTH, values: MAX_ROW_BYTES }) === undefined;
}

/**
 * A JSON array of objects, also as the one list of an object; or JSON Lines. An array is cut into its elements first, so that one
 * bad element does not hide the others.
 */
export const readJson: RowReader = async (bytes, sink, layouts) => {
  const content = await buffer(bytes);
  const good = beforeFault(content);
  const text = new TextDecoder().decode(content);
  const placeOf = placer(text);
  const fault = (at: number, code: "INVALID_UTF8" | "JSON_NOT_ARRAY" | "JSON_INVALID", problem: string) => {
    const { line, column } = placeOf(at);
    sink.fault({ line, column, code, problem });
  };
  if (good !== undefined) return fault(good.length, "INVALID_UTF8", NOT_UTF8);
  const start = skipBlanks(text, 0);
  const wrapper = text[start] === "{" ? wrapperAt(text, start) : undefined;
  const [list, ...more] = wrapper?.lists ?? [];
  if (list !== undefined && more.length === 0) {
    const beside = wrapper?.others.length ? `; not used: ${wrapper.others.join(", ")}` : "";
    sink.note(`rows in "${list[0]}"${beside}`);
    const end = readArray(text, list[1], placeOf, sink);
    if (end !== undefined && skipBlanks(text, end) >= text.length)
      fault(text.length, "JSON_INVALID", "the object does not end here");
    return;
  }
  if (list !== undefined) {
    const names = [...(wrapper?.lists.keys() ?? [])].join(", ");
    return fault(start, "JSON_NOT_ARRAY", `has several lists of rows (${names}), of which one must be meant`);
  }
  if (text[start] === "{" && isJsonLines(text.slice(start, start + 2 * MAX_ROW_BYTES))) {
    sink.note("JSON Lines");
    return readJsonl(Readable.from([content]), sink, layouts);
  }
  if (text[start] !== "[") return fault(start, "JSON_NOT_ARRAY", "expected an array: [, or an object a line");
  const end = readArray(text, start, placeOf, sink);
  if (end === undefined) return;
  const behind = skipBlanks(text, end);
  if (behind < text.length) fault(behind, "JSON_INVALID", "goes on after the array");
};
