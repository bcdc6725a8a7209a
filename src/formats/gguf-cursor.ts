import { atMost, BoosterError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** Bytes read at once. A header with its vocabulary takes 2 to 20 MB. */
const WINDOW_BYTES = 2 ** 20;

/** Reads little-endian values one after another, and refuses to pass `limit` or the end of the source. */
export class GgufCursor {
  position = 0;
  private readonly source: ByteSource;
  private readonly end: number;
  private window: Buffer = Buffer.alloc(0);
  private windowStart = 0;

  constructor(source: ByteSource, limit: number) {
    this.source = source;
    this.end = Math.min(source.size, limit);
  }

  /** Bytes that are left: what any count in the file has to fit into. */
  get remaining(): number {
    return this.end - this.position;
  }

  /** Makes the next `length` bytes available, moves past them, and tells where in the window they begin. */
  private take(length: number): number {
    if (length > this.remaining) {
      throw new BoosterError("GGUF_TRUNCATED", "the header is cut off or longer than allowed", {
        expected: `${length} bytes at ${this.position}`,
        found: `${this.remaining}`,
        where: this.source.where,
      });
    }
    let start = this.position - this.windowStart;
    if (start + length > this.window.length) {
      const size = Math.min(Math.max(WINDOW_BYTES, length), this.remaining);
      this.window = Buffer.alloc(size);
      this.source.readInto(this.position, this.window);
      this.windowStart = this.position;
      start = 0;
    }
    this.position += length;
    return start;
  }

  /** Reads a value of so many bytes from a view on them. */
  read<T>(bytes: number, value: (view: Buffer, at: number) => T): T {
    const at = this.take(bytes);
    return value(this.window, at);
  }

  u32(): number {
    return this.read(4, (view, at) => view.readUInt32LE(at));
  }

  /** An unsigned 64-bit count or size; beyond 2^53 it is rounded, which every limit refuses anyway. */
  size(): number {
    return this.read(8, (view, at) => Number(view.readBigUInt64LE(at)));
  }

  /** A length and that many bytes of UTF-8; invalid sequences become U+FFFD, as tokens may hold parts of a character. */
  text(maxBytes: number, what: string): string {
    const length = this.size();
    const { where } = this.source;
    atMost(maxBytes, "bytes", length, "GGUF_STRING_TOO_LONG", `a ${what} is too long`, { where });
    return this.read(length, (view, at) => view.toString("utf8", at, at + length));
  }
}
