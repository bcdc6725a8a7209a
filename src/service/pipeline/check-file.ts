import { readExamples } from "../../data/formats.ts";
import { isNothing } from "../../data/messages.ts";
import { type ByteStream, FaultList, MAX_FAULTS, MAX_FILE_BYTES, MAX_ROWS, type Row } from "../../data/rows.ts";
import { readRows } from "../../data/sources.ts";
import { ERROR_CODES, type ErrorCode } from "../../error-codes.ts";
import { asBoosterError, BoosterError } from "../../errors.ts";
import { isObject } from "../../formats/strict-json.ts";

/** As OpenAI's API. */
export const MIN_ROWS = 10;

/** Something wrong with a file. Says where and what by a code of the table, and nothing of what stands there. */
export interface FileFault {
  /** From 1; 0 where the whole file is meant. */
  readonly line: number;
  /** From 1; 0 where the whole row is meant. */
  readonly column: number;
  readonly code: ErrorCode;
  /** The sentence of the code. */
  readonly message: string;
}

/** What was seen of a training file while it came in. */
export interface FileCheck {
  /** Rows that can be trained on. */
  readonly rows: number;
  /** The first 100, by line. */
  readonly faults: readonly FileFault[];
  readonly faultCount: number;
}

/** Columns of rows that OpenAI's API knows and that are not trained on here. */
const UNSUPPORTED: readonly (readonly [ErrorCode, readonly string[]])[] = [
  ["UNSUPPORTED_PREFERENCE", ["preferred_output", "non_preferred_output", "chosen", "rejected"]],
  ["UNSUPPORTED_TOOLS", ["tools", "functions", "tool_choice", "function_call", "parallel_tool_calls"]],
  ["UNSUPPORTED_MEDIA", ["image", "images", "audio", "audios", "video", "videos"]],
];

/** Keys of a message that say the same. */
const CALLS = ["tool_calls", "function_call"];

const says = (holder: object, keys: readonly string[]): boolean =>
  keys.some((key) => Object.hasOwn(holder, key) && !isNothing((holder as Record<string, unknown>)[key]));

/** What of a row is not trained on here, though it is no mistake. */
function unsupportedIn({ values }: Row): ErrorCode | undefined {
  const found = UNSUPPORTED.find(([, columns]) => says(values, columns))?.[0];
  if (found !== undefined) return found;
  const messages = Array.isArray(values.messages) ? values.messages.filter(isObject) : [];
  if (messages.some((message) => says(message, CALLS))) return "UNSUPPORTED_TOOLS";
  const parts = messages.flatMap(({ content }) => (Array.isArray(content) ? content.filter(isObject) : []));
  return parts.some(({ type }) => type !== "text") ? "UNSUPPORTED_MEDIA" : undefined;
}

/** What is wrong with a row, read by the parser that training reads it by. */
function faultIn(row: Row): ErrorCode | undefined {
  const unsupported = unsupportedIn(row);
  if (unsupported !== undefined) return unsupported;
  const format = Object.hasOwn(row.values, "messages") ? "messages" : "prompt-completion";
  const faults = new FaultList();
  try {
    const [example] = readExamples([row], format, faults).examples;
    if (example?.kind !== "chat") return example?.output === "" ? "LAST_TURN_NOT_TRAINED" : undefined;
    const last = example.messages.at(-1);
    return last?.role === "assistant" && last.trained !== false ? undefined : "LAST_TURN_NOT_TRAINED";
  } catch (error) {
    return faults.first[0]?.code ?? asBoosterError(error).code;
  }
}

/** The kinds of files that begin with these bytes are no JSON Lines, whatever they are called. */
const MAGIC = ["PAR1", "PK\u0003\u0004", "%PDF"].map((text) => Buffer.from(text));

/** The stream from its first bytes on, whether these belong to another kind of file, and how to read away what is left of it. */
async function opened(bytes: ByteStream) {
  const iterator = bytes[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  let ended = false;
  const next = async (): Promise<Uint8Array | undefined> => {
    const found = ended ? undefined : await iterator.next();
    ended = found?.done ?? true;
    return found?.done === false ? found.value : undefined;
  };
  while (head.length < 4 && !ended) head = Buffer.concat([head, (await next()) ?? new Uint8Array()]);
  async function* rest(): ByteStream {
    let length = 0;
    for (let chunk: Uint8Array | undefined = head; chunk !== undefined; chunk = await next()) {
      length += chunk.length;
      // No stage of a job reads more, packed or not.
      if (length > MAX_FILE_BYTES) throw new BoosterError("DATA_TOO_LARGE", "the data file is too large");
      if (chunk.length > 0) yield chunk;
    }
  }
  const drain = async (): Promise<void> => {
    while ((await next()) !== undefined);
  };
  return { rest: rest(), drain, isOther: MAGIC.some((magic) => head.subarray(0, magic.length).equals(magic)) };
}

/**
 * Checks a file for fine-tuning while it comes in: JSON Lines of `messages`, or of `prompt` and `completion`, whatever the file is called;
 * packed by gzip if need be. Memory: one row. Reads the stream to its end in any case, and never throws because of what is in it.
 *
 * @example
 * const { rows, faults } = await checkFile(createReadStream("train.jsonl"));
 */
export async function checkFile(bytes: ByteStream): Promise<FileCheck> {
  const faults: FileFault[] = [];
  let faultCount = 0;
  let rows = 0;
  const fault = (line: number, column: number, code: ErrorCode): void => {
    faultCount++;
    if (faults.length < MAX_FAULTS) faults.push({ line, column, code, message: ERROR_CODES[code].meaning });
  };
  const done = (): FileCheck => ({ rows, faultCount, faults: faults.toSorted((a, b) => a.line - b.line) });
  const { rest, drain, isOther } = await opened(bytes);
  if (isOther) {
    fault(0, 0, "UNSUPPORTED_FILE");
    await drain();
    return done();
  }
  let seen = 0;
  try {
    await readRows(rest, "jsonl", MAX_FILE_BYTES, {
      note: () => undefined,
      fault: ({ line, column, code }) => fault(line, column, code),
      row(line, values) {
        if (++seen === MAX_ROWS + 1) fault(line, 0, "DATA_TOO_MANY_ROWS");
        if (seen > MAX_ROWS) return;
        const code = faultIn({ file: "", line, values });
        if (code === undefined) rows++;
        else fault(line, 0, code);
      },
    });
  } catch (error) {
    fault(0, 0, asBoosterError(error).code);
    await drain();
  }
  if (faultCount === 0 && rows < MIN_ROWS) fault(0, 0, "DATA_TOO_FEW_ROWS");
  return done();
}
