import { isUtf8 } from "node:buffer";
import type { ByteStream, Fault } from "./rows.ts";
import { MAX_ROW_BYTES } from "./rows.ts";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Visits the lines of a stream of UTF-8 without ever holding more than one of them.
 *
 * A byte order mark and the CR of a CRLF are not part of a line. A line that is too long or is not UTF-8 is passed as a
 * fault instead of text.
 */
export async function eachLine(bytes: ByteStream, visit: (text: string | Fault, line: number) => void): Promise<void> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let held: Uint8Array[] = [];
  let heldLength = 0;
  let line = 0;

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
    const start = line === 1 && BYTE_ORDER_MARK.every((byte, place) => whole[place] === byte) ? 3 : 0;
    const end = whole.at(-1) === CARRIAGE_RETURN ? whole.length - 1 : whole.length;
    const content = whole.subarray(start, end);
    const bad = badOffset(content);
    if (bad === undefined) visit(decoder.decode(content), line);
    else visit({ line, column: bad + 1, code: "INVALID_UTF8", problem: "is not UTF-8" }, line);
  };

  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      finish(chunk.subarray(start, end));
      start = end + 1;
    }
    const tail = chunk.subarray(start);
    if (heldLength <= MAX_ROW_BYTES && tail.length > 0) held.push(tail);
    heldLength += tail.length;
  }
  if (heldLength > 0) finish(new Uint8Array());
}

/** Which character (from 0) is the first that is not UTF-8; undefined where all are. */
export function badOffset(bytes: Uint8Array): number | undefined {
  if (isUtf8(bytes)) return undefined;
  const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
  const repaired = Buffer.from(lenient.decode(bytes));
  const bad = bytes.findIndex((byte, place) => byte !== repaired[place]);
  return lenient.decode(bytes.subarray(0, bad)).length;
}
