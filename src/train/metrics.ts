import { BoosterError } from "../errors.ts";
import { type FileSystem, guardFiles, nodeFileSystem, readAll, writeAll } from "./files.ts";

/** One line of `metrics.jsonl`. Numbers that JSON lacks stand as the strings "NaN", "Infinity", "-Infinity". */
export type MetricsRow = Readonly<Record<string, string | number | boolean>>;

/**
 * The append-only record of a run, one JSON object a line.
 *
 * It holds no clock readings, so that a resumed run writes the very bytes that an uninterrupted one writes.
 *
 * @example
 * const log = new MetricsLog("run/metrics.jsonl");
 * log.append({ kind: "step", step: 1, loss: 2.5 });
 */
export class MetricsLog {
  private readonly fd: number;
  private length: number;

  constructor(
    private readonly path: string,
    private readonly fs: FileSystem = nodeFileSystem,
  ) {
    this.fd = guardFiles(fs, "opening the metrics", path, () => fs.open(path, "a"));
    this.length = guardFiles(fs, "opening the metrics", path, () => fs.size(this.fd));
  }

  /** Bytes written so far: what a checkpoint remembers. */
  get bytes(): number {
    return this.length;
  }

  /** Adds one row. @throws {BoosterError} `DISK_FULL` and the like, see `guardFiles`. */
  append(row: MetricsRow): void {
    const line = new TextEncoder().encode(`${JSON.stringify(row, nameNonFinite)}\n`);
    guardFiles(this.fs, "writing metrics", this.path, () => writeAll(this.fs, this.fd, line));
    this.length += line.length;
  }

  /** All rows so far. @throws {BoosterError} what `readMetrics` throws */
  rows(): MetricsRow[] {
    return readMetrics(this.path, this.fs);
  }

  /**
   * Drops what was written after a checkpoint, half a line included.
   *
   * @throws {BoosterError} `METRICS_MISSING` when the file is shorter than the checkpoint remembers.
   */
  truncate(bytes: number): void {
    if (bytes > this.length) {
      throw new BoosterError("METRICS_MISSING", "the metrics file is shorter than when the checkpoint was written", {
        expected: `at least ${bytes} bytes`,
        found: `${this.length}`,
        where: this.path,
        hint: "Put the file back, or start a new run in another folder",
      });
    }
    guardFiles(this.fs, "shortening the metrics", this.path, () => this.fs.truncate(this.fd, bytes));
    this.length = bytes;
  }

  /** Makes all rows survive a power cut; called before a checkpoint refers to them. */
  sync(): void {
    guardFiles(this.fs, "writing metrics", this.path, () => this.fs.fsync(this.fd));
  }

  close(): void {
    this.fs.close(this.fd);
  }
}

function nameNonFinite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/**
 * Reads the rows of a metrics file, also while a run appends to it: a last line without its end is left out.
 *
 * @throws {BoosterError} `METRICS_CORRUPT` with the line number when a complete line is no JSON object.
 */
export function readMetrics(path: string, fs: FileSystem = nodeFileSystem): MetricsRow[] {
  const text = new TextDecoder().decode(guardFiles(fs, "reading metrics", path, () => readAll(fs, path)));
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line, index) => {
    try {
      return JSON.parse(line) as MetricsRow;
    } catch (cause) {
      throw new BoosterError("METRICS_CORRUPT", "this line is not JSON", { where: `${path}:${index + 1}`, cause });
    }
  });
}
