import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../formats/atomic-file.ts";

/**
 * How long an experiment has been at work over all its starts: kept in its folder after each piece of work, so that a kill
 * loses one piece at most, and left alone by a start that finds everything done.
 */
export class WallTime {
  private readonly file: string;
  private readonly earlier: number;
  private readonly start = performance.now();

  constructor(out: string) {
    this.file = join(out, "wall-time.json");
    this.earlier = this.seconds();
  }

  /** Seconds up to the last piece of work. */
  seconds(): number {
    if (!existsSync(this.file)) return 0;
    return (JSON.parse(readFileSync(this.file, "utf8")) as { readonly seconds: number }).seconds;
  }

  /** Writes down the time until now. */
  record(): void {
    const seconds = this.earlier + (performance.now() - this.start) / 1000;
    writeFileAtomic(this.file, [Buffer.from(`${JSON.stringify({ seconds })}\n`)]);
  }
}
