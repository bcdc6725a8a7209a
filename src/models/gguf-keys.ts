import { BoosterError } from "../errors.ts";
import type { GgufFile } from "../formats/gguf.ts";

/** Say how a file came to be, or what no weight depends on. */
const INERT = ["vocab_size", "tensor_data_layout", "rope.scaling.finetuned"];

/**
 * The metadata of one architecture in a GGUF file, `ARCHITECTURE.KEY`. What has not been asked for at the end is an error, since it may change what
 * is computed.
 *
 * @example
 * const keys = new GgufKeys(file, "llama");
 * const heads = keys.number("attention.head_count");
 * keys.finish();
 */
export class GgufKeys {
  private readonly asked = new Set(INERT);
  private readonly file: GgufFile;
  private readonly architecture: string;

  constructor(file: GgufFile, architecture: string) {
    this.file = file;
    this.architecture = architecture;
  }

  private value(key: string): unknown {
    this.asked.add(key);
    return this.file.metadata[`${this.architecture}.${key}`];
  }

  /** A number that is not negative; a list of equal ones, one for each block, is that number. @throws {BoosterError} `GGUF_METADATA_INVALID` */
  number(key: string, fallback?: number): number {
    const found = this.value(key) ?? fallback;
    const [value, ...others] = Array.isArray(found) ? (found as unknown[]) : [found];
    if (others.some((other) => other !== value)) throw this.invalid(key, "the same for all blocks", String(found));
    if (typeof value === "number" && Number.isFinite(value) && value >= 0) return shortest(value);
    throw this.invalid(key, "a number", String(found));
  }

  /** A number that may be absent. */
  optional(key: string): number | undefined {
    return this.value(key) === undefined ? undefined : this.number(key);
  }

  text(key: string, fallback: string): string {
    const value = this.value(key) ?? fallback;
    if (typeof value === "string") return value;
    throw this.invalid(key, "a text", String(value));
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.invalid(key, "true or false", String(value));
  }

  /** What must stand there, where anything does: with another value the model would compute something else. */
  fixed(key: string, expected: number | boolean): void {
    const value = typeof expected === "number" ? this.number(key, expected) : (this.value(key) ?? expected);
    if (value !== expected) throw this.invalid(key, String(expected), String(value));
  }

  /** @throws {BoosterError} `GGUF_METADATA_INVALID` naming the keys that nobody asked for */
  finish(): void {
    const prefix = `${this.architecture}.`;
    const strange = Object.keys(this.file.metadata).filter(
      (key) => key.startsWith(prefix) && !this.asked.has(key.slice(prefix.length)),
    );
    if (strange.length === 0) return;
    throw new BoosterError("GGUF_METADATA_INVALID", "what some keys of this file change is not known", {
      found: strange.join(", "),
      where: this.file.where,
      hint: "Use the model's Hugging Face folder",
    });
  }

  invalid(key: string, expected: string, found: string): BoosterError {
    return new BoosterError("GGUF_METADATA_INVALID", "the metadata does not describe the model", {
      expected: `${this.architecture}.${key}: ${expected}`,
      found: found.slice(0, 80),
      where: this.file.where,
    });
  }
}

/** The shortest decimal that is the same float32: 1e-5, where the file's float32 is 0.00000999999974. */
export function shortest(value: number): number {
  if (Number.isInteger(value)) return value;
  const target = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(target.toPrecision(digits));
    if (Math.fround(candidate) === target) return candidate;
  }
  return value;
}
