import type { ErrorCode } from "../error-codes.ts";
import { Float, parseExactJson } from "../formats/exact-json.ts";
import { findJsonFault, isObject } from "../formats/strict-json.ts";
import { charactersIn, MAX_JSON_DEPTH, MAX_ROW_BYTES, type RowSink } from "./rows.ts";

function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === "string") return /\p{Cs}/u.test(value);
  return typeof value === "object" && value !== null && Object.entries(value).flat().some(hasLoneSurrogate);
}

/** Where an escape of half a pair stands in valid JSON: other escapes and whole pairs are passed. */
function loneEscape(text: string): number {
  const escapes = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)/g;
  for (const { index, 1: lone } of text.matchAll(escapes)) if (lone !== undefined) return index;
  return -1;
}

const isNested = (value: unknown) => typeof value === "object" && value !== null;

/** A number in a column of its own is one of JavaScript's: labels and weights compare. */
const plainCell = (value: unknown) => (value instanceof Float || typeof value === "bigint" ? Number(value) : value);

/** Columns as templates need them: what is within lists and objects exactly. */
function exactCells(text: string, values: Record<string, unknown>): Record<string, unknown> {
  if (!Object.values(values).some(isNested)) return values;
  const exact = parseExactJson(text, values) as Record<string, unknown>;
  if (exact === values) return values;
  return Object.fromEntries(Object.entries(exact).map(([column, value]) => [column, plainCell(value)]));
}

/**
 * Parses one JSON object and hands it on as a row; `line` and `column` are the place of its first character.
 *
 * @returns whether it is one
 */
export function readJsonRow(text: string, line: number, column: number, sink: RowSink): boolean {
  const fault = (at: number, code: ErrorCode, problem: string): boolean => {
    const before = text.slice(0, at).split("\n");
    const start = before.length === 1 ? column : 1;
    sink.fault({ line: line + before.length - 1, column: start + charactersIn(before.at(-1) ?? ""), code, problem });
    return false;
  };
  const found = findJsonFault(text, { depth: MAX_JSON_DEPTH, values: MAX_ROW_BYTES });
  if (found !== undefined) return fault(found.at, found.code, found.problem);
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) {
    return fault(0, "ROW_NOT_OBJECT", 'is JSON, but no object such as {"prompt": ..., "completion": ...}');
  }
  const escapeAt = loneEscape(text);
  if (escapeAt >= 0 && hasLoneSurrogate(value)) {
    return fault(escapeAt, "LONE_SURROGATE", "has half of a surrogate pair, which is no character");
  }
  sink.row(line, exactCells(text, value));
  return true;
}
