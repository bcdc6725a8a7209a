import { BoosterError } from "../errors.ts";
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

  u8(): number {
    const at = this.take(1);
    return this.window.readUInt8(at);
  }
  i8(): number {
    const at = this.take(1);
    return this.window.readInt8(at);
  }
  u16(): number {
    const at = this.take(2);
    return this.window.readUInt16LE(at);
  }
  i16(): number {
    const at = this.take(2);
    return this.window.readInt16LE(at);
  }
  u32(): number {
    const at = this.take(4);
    return this.window.readUInt32LE(at);
  }
  i32(): number {
    const at = this.take(4);
    return this.window.readInt32LE(at);
  }
  f32(): number {
    const at = this.take(4);
    return this.window.readFloatLE(at);
  }
  f64(): number {
    const at = this.take(8);
    return this.window.readDoubleLE(at);
  }
  u64(): bigint {
    const at = this.take(8);
    return this.window.readBigUInt64LE(at);
  }
  i64(): bigint {
    const at = this.take(8);
    return this.window.readBigInt64LE(at);
  }

  /** An unsigned 64-bit count or size; beyond 2^53 it is rounded, which every limit refuses anyway. */
  size(): number {
    return Number(this.u64());
  }

  /** A length and that many bytes of UTF-8; invalid sequences become U+FFFD, as tokens may hold parts of a character. */
  text(maxBytes: number, what: string): string {
    const length = this.size();
    if (length > maxBytes) {
      throw new BoosterError("GGUF_STRING_TOO_LONG", `a ${what} is too long`, {
        expected: `at most ${maxBytes} bytes`,
        found: `${length}`,
        where: this.source.where,
      });
    }
    const at = this.take(length);
    return this.window.toString("utf8", at, at + length);
  }
}
