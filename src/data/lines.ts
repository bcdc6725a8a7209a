import { isUtf8 } from "node:buffer";
import type { ByteStream, Fault } from "./rows.ts";
import { charactersIn, MAX_ROW_BYTES } from "./rows.ts";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The byte that lines end with: the first line shows it. Undefined as long as no line has ended. */
function lineEndOf(chunk: Uint8Array, isLast: boolean): number | undefined {
  const newline = chunk.indexOf(NEWLINE);
  const back = chunk.indexOf(CARRIAGE_RETURN);
  if (back < 0 || (newline >= 0 && newline < back)) return newline < 0 ? undefined : NEWLINE;
  if (back + 1 === chunk.length) return isLast ? CARRIAGE_RETURN : undefined;
  return chunk[back + 1] === NEWLINE ? NEWLINE : CARRIAGE_RETURN;
}

/**
 * Visits the lines of a stream of UTF-8 without ever holding more than one of them. They end with LF, CRLF, or where the first
 * one does, with CR.
 *
 * A line that is too long or is not UTF-8 is passed as a fault instead of text.
 */
export async function eachLine(bytes: ByteStream, visit: (text: string | Fault, line: number) => void): Promise<void> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let held: Uint8Array[] = [];
  let heldLength = 0;
  let line = 0;
  let lineEnd: number | undefined;

  const finish = (tail: Uint8Array) => {
    line++;
    const length = heldLength + tail.length;
    const whole = held.length === 0 ? tail : Buffer.concat([...held, tail]);
    held = [];
    heldLength = 0;
    if (length > MAX_ROW_BYTES) {
      const problem = `has ${length} bytes, at most ${MAX_ROW_BYTES} are allowed`;
      visit({ line, column: MAX_ROW_BYTES + 1, code: "ROW_TOO_LONG", problem }, line);
      return;
    }
    const content = whole.at(-1) === CARRIAGE_RETURN ? whole.subarray(0, -1) : whole;
    const good = beforeFault(content);
    if (good === undefined) visit(decoder.decode(content), line);
    else visit({ line, column: charactersIn(good) + 1, code: "INVALID_UTF8", problem: NOT_UTF8 }, line);
  };
  const hold = (tail: Uint8Array) => {
    if (heldLength <= MAX_ROW_BYTES && tail.length > 0) held.push(tail);
    heldLength += tail.length;
  };
  const split = (chunk: Uint8Array, isLast = false) => {
    lineEnd ??= lineEndOf(chunk, isLast);
    let start = 0;
    for (let end = chunk.indexOf(lineEnd ?? -1); end >= 0; end = chunk.indexOf(lineEnd ?? -1, start)) {
      finish(chunk.subarray(start, end));
      start = end + 1;
    }
    hold(chunk.subarray(start));
  };

  // A CR at the end of a chunk waits for what follows it.
  let waiting: Uint8Array | undefined;
  for await (const chunk of bytes) {
    const next = waiting === undefined ? chunk : Buffer.concat([waiting, chunk]);
    waiting = undefined;
    if (lineEnd === undefined && next.at(-1) === CARRIAGE_RETURN && next.length <= MAX_ROW_BYTES) waiting = next;
    else split(next);
  }
  if (waiting !== undefined) split(waiting, true);
  if (heldLength > 0) finish(new Uint8Array());
}

export const NOT_UTF8 = 'is not UTF-8 (files of Western Windows are read with the encoding "windows-1252")';

/** The text before the first byte that is not UTF-8; undefined where all are. */
export function beforeFault(bytes: Uint8Array): string | undefined {
  if (isUtf8(bytes)) return undefined;
  const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
  const repaired = Buffer.from(lenient.decode(bytes));
  const bad = bytes.findIndex((byte, place) => byte !== repaired[place]);
  return lenient.decode(bytes.subarray(0, bad), { stream: true });
}
