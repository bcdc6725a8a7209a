import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { BoosterError } from "../errors.ts";
import { type ByteStream, MAX_FILE_BYTES } from "./rows.ts";

/** How texts are written in bytes. All but the last are told by the file. */
export const ENCODINGS = ["utf-8", "utf-16le", "utf-16be", "windows-1252"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** A byte that UTF-8 never has: it stands where bytes are no characters, so that the fault is found in its place. */
const NO_CHARACTER = Buffer.of(0xff);
/** Compressed text seldom reaches 20:1; a bomb reaches 1000:1. */
const MAX_RATIO = 200;
/** Small files may compress better; so small it does no harm. */
const SMALL_BYTES = 2 ** 20;

/** The beginning of a stream, at least so many bytes where it has them, and the stream from its beginning on. */
async function peeked(bytes: ByteStream, count: number): Promise<{ readonly head: Buffer; readonly all: ByteStream }> {
  const iterator = bytes[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (length < count) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    chunks.push(value);
    length += value.length;
  }
  async function* all() {
    yield* chunks;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return { head: Buffer.concat(chunks).subarray(0, count), all: all() };
}

/**
 * The bytes that a gzip stream unpacks to; those of another stream as they are.
 *
 * @param size bytes of the file: what it may unpack to is bounded by it
 * @throws {BoosterError} `DATA_TOO_LARGE`, `GZIP_INVALID`
 */
export async function* unpacked(bytes: ByteStream, size: number, note: (text: string) => void): ByteStream {
  const { head, all } = await peeked(bytes, 2);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return yield* all;
  note("gzip");
  const most = Math.min(MAX_FILE_BYTES, MAX_RATIO * size + SMALL_BYTES);
  let length = 0;
  try {
    for await (const chunk of pipeline(all, createGunzip(), () => undefined) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > most) {
        throw new BoosterError("DATA_TOO_LARGE", "the data file unpacks to too much", {
          expected: `at most ${MAX_RATIO} times its size, and ${MAX_FILE_BYTES} bytes`,
        });
      }
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || !String(error.code).startsWith("Z_")) throw error;
    throw new BoosterError("GZIP_INVALID", "the gzip stream is damaged or cut off", { cause: error });
  }
}

/** The encoding that the beginning of a file tells, and the length of its byte order mark. */
function toldBy(head: Buffer): { readonly encoding?: Encoding; readonly mark: number } {
  const zeros = [...head].map((byte) => (byte === 0 ? "0" : "x")).join("");
  const starts = (...mark: number[]) => mark.every((byte, at) => head[at] === byte);
  if (starts(0xff, 0xfe, 0, 0) || starts(0, 0, 0xfe, 0xff) || zeros === "x000" || zeros === "000x") {
    throw new BoosterError("ENCODING_MISMATCH", "the file is UTF-32, which is not read", {
      hint: "Save it as UTF-8.",
    });
  }
  if (starts(0xef, 0xbb, 0xbf)) return { encoding: "utf-8", mark: 3 };
  if (starts(0xff, 0xfe)) return { encoding: "utf-16le", mark: 2 };
  if (starts(0xfe, 0xff)) return { encoding: "utf-16be", mark: 2 };
  // No text begins with a zero character: these are halves of others.
  if (zeros.startsWith("x0")) return { encoding: "utf-16le", mark: 0 };
  if (zeros.startsWith("0x")) return { encoding: "utf-16be", mark: 0 };
  return { mark: 0 };
}

/** Text as UTF-8; halves of surrogate pairs become bytes that are none. */
function utf8(text: string): Buffer {
  if (!/\p{Cs}/u.test(text)) return Buffer.from(text);
  return Buffer.concat(
    text.split(/\p{Cs}/u).flatMap((part, at) => [...(at > 0 ? [NO_CHARACTER] : []), Buffer.from(part)]),
  );
}

async function* fromUtf16(bytes: ByteStream, isBig: boolean): ByteStream {
  let rest: Uint8Array = new Uint8Array();
  const textOf = (units: Buffer) => (isBig ? Buffer.from(units).swap16() : units).toString("utf16le");
  for await (const chunk of bytes) {
    const all = Buffer.concat([rest, chunk]);
    let end = all.length - (all.length % 2);
    const high = all[isBig ? end - 2 : end - 1] ?? 0;
    if (high >= 0xd8 && high < 0xdc) end -= 2;
    rest = all.subarray(end);
    yield utf8(textOf(all.subarray(0, end)));
  }
  if (rest.length > 0) yield NO_CHARACTER;
}

/** What windows-1252 has from 0x80 on; U+FFFF where it has nothing. */
const WINDOWS = "€\uffff‚ƒ„…†‡ˆ‰Š‹Œ\uffffŽ\uffff\uffff‘’“”•–—˜™š›œ\uffffžŸ";

async function* fromWindows1252(bytes: ByteStream): ByteStream {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let mayBeUtf8 = true;
  let isAscii = true;
  for await (const chunk of bytes) {
    if (mayBeUtf8) {
      isAscii &&= chunk.every((byte) => byte < 0x80);
      mayBeUtf8 = isAscii || decodes(decoder, chunk);
    }
    const text = Buffer.from(chunk).toString("latin1");
    const read = text.replace(/[\x80-\x9f]/g, (char) => WINDOWS[char.charCodeAt(0) - 0x80] ?? "");
    yield Buffer.concat(
      read.split("\uffff").flatMap((part, at) => [...(at > 0 ? [NO_CHARACTER] : []), Buffer.from(part)]),
    );
  }
  if (!isAscii && mayBeUtf8 && decodes(decoder)) {
    throw new BoosterError("ENCODING_MISMATCH", "the file is UTF-8, though it is said to be windows-1252", {
      hint: "Leave the encoding out.",
    });
  }
}

/** Whether a piece, or the end, goes on as UTF-8 does. */
function decodes(decoder: InstanceType<typeof TextDecoder>, chunk?: Uint8Array): boolean {
  try {
    decoder.decode(chunk, { stream: chunk !== undefined });
    return true;
  } catch {
    return false;
  }
}

/**
 * The text of a file as UTF-8 without a byte order mark, and the encoding that it had. Bytes that are no characters there are
 * none in UTF-8 either.
 *
 * @param told by the user; needed for windows-1252 alone, which cannot be told from its like
 * @throws {BoosterError} `ENCODING_MISMATCH`, also while the text is read
 */
export async function decoded(
  bytes: ByteStream,
  told: Encoding | undefined,
): Promise<{ readonly encoding: Encoding; readonly text: ByteStream }> {
  const { head, all } = await peeked(bytes, 4);
  const { encoding: found, mark } = toldBy(head);
  if (told !== undefined && found !== undefined && found !== told) {
    throw new BoosterError("ENCODING_MISMATCH", "the file is in another encoding", { expected: told, found });
  }
  const encoding = found ?? told ?? "utf-8";
  const content = mark === 0 ? all : without(all, mark);
  if (encoding === "utf-8") return { encoding, text: content };
  return {
    encoding,
    text: encoding === "windows-1252" ? fromWindows1252(content) : fromUtf16(content, encoding === "utf-16be"),
  };
}

/** A stream without its first bytes, which are in its first piece or are the whole of it. */
async function* without(bytes: ByteStream, count: number): ByteStream {
  let left = count;
  for await (const chunk of bytes) {
    yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}
