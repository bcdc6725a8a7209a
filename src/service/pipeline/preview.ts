import { readExamples } from "../../data/formats.ts";
import { type ByteStream, FaultList, MAX_FILE_BYTES, type Row } from "../../data/rows.ts";
import { readRows } from "../../data/sources.ts";
import { encodeExample } from "../../data/templates.ts";
import { type TokenPiece, tokenPieces } from "../../data/token-pieces.ts";
import type { ErrorCode } from "../../error-codes.ts";
import { asBoosterError, BoosterError } from "../../errors.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import type { Template } from "../../models/model-file.ts";

/** What a base makes of rows. */
export interface RowReader {
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  readonly maxPositions: number;
}

/** A row as the model sees it: its first tokens, and how many there are. */
export interface PreviewRow {
  readonly line: number;
  readonly tokens: readonly TokenPiece[];
  readonly count: number;
  readonly trained: number;
  /** Why it cannot be trained on; a row that is too long is shown all the same. */
  readonly fault: ErrorCode | null;
}

/** Text of a row, in bytes of its JSON, beyond which it is not shown: whoever looks should not hold up the others. */
const LONGEST_ROW = 64 * 1024;

/** Rows of a file as they are read, from its beginning; nothing is read behind the last that is wanted. */
async function firstRows(bytes: ByteStream, wanted: number): Promise<Row[]> {
  const rows: Row[] = [];
  async function* enough(): ByteStream {
    for await (const chunk of bytes) {
      yield chunk;
      if (rows.length > wanted) return;
    }
  }
  try {
    await readRows(enough(), "jsonl", MAX_FILE_BYTES, {
      note: () => undefined,
      fault: () => undefined,
      row: (line, values) => {
        if (rows.length <= wanted) rows.push({ file: "", line, values });
      },
    });
  } catch (error) {
    // What is packed ends before its end here; whatever else is wrong with the file, its checks tell.
    if (!(error instanceof BoosterError)) throw error;
  }
  return rows;
}

/**
 * The first rows of a file for fine-tuning as the model will see them: in its template, as tokens, those that are trained marked.
 *
 * @param shown tokens of each row at most
 * @example
 * const { rows } = await preview(createReadStream("train.jsonl"), reader, 3, 512);
 */
export async function preview(
  bytes: ByteStream,
  reader: RowReader,
  wanted: number,
  shown: number,
): Promise<{ readonly rows: readonly PreviewRow[]; readonly more: boolean }> {
  const rows = await firstRows(bytes, wanted);
  return { rows: rows.slice(0, wanted).map((row) => shownRow(row, reader, shown)), more: rows.length > wanted };
}

function shownRow(row: Row, { tokenizer, template, maxPositions }: RowReader, shown: number): PreviewRow {
  const nothing = { line: row.line, tokens: [], count: 0, trained: 0 };
  if (Buffer.byteLength(JSON.stringify(row.values)) > LONGEST_ROW) return { ...nothing, fault: "EXAMPLE_TOO_LONG" };
  const faults = new FaultList();
  try {
    const format = Object.hasOwn(row.values, "messages") ? "messages" : "prompt-completion";
    const [example] = readExamples([row], format, faults).examples;
    if (example === undefined) return { ...nothing, fault: "DATA_INVALID" };
    const options = { tokenizer, template, maxTokens: LONGEST_ROW, tooLong: "truncate" } as const;
    const encoded = encodeExample(example, options);
    const { ids, labels, trainedTokens } = encoded;
    const first = { ...encoded, ids: ids.subarray(0, shown), labels: labels.subarray(0, shown) };
    return {
      line: row.line,
      tokens: tokenPieces(tokenizer, first),
      count: ids.length,
      trained: trainedTokens,
      fault: ids.length > maxPositions ? "EXAMPLE_TOO_LONG" : null,
    };
  } catch (error) {
    return { ...nothing, fault: faults.first[0]?.code ?? asBoosterError(error).code };
  }
}
