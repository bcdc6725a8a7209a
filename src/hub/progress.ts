import type { HubFile } from "../formats/hub/listing.ts";
import type { Reached } from "./download.ts";

/** How far a download of several files is, for people. */
export class DownloadProgress {
  /** Bytes of the files before the one at hand. */
  private finished = 0;
  /** Bytes that came over the network, and since when. */
  private received = 0;
  private since = performance.now();
  private readonly total: number;

  constructor(
    private readonly what: string,
    files: readonly HubFile[],
    private readonly tell: (text: string) => void,
  ) {
    this.total = files.reduce((sum, { size }) => sum + size, 0);
  }

  /** Follows one file; what is there when it begins was not received now. */
  follow({ path, size }: HubFile): { readonly reached: Reached; readonly end: () => void } {
    let last: number | undefined;
    return {
      reached: (bytes) => {
        this.received += Math.max(0, bytes - (last ?? bytes));
        last = bytes;
        this.tell(this.text(path, this.finished + bytes));
      },
      end: () => {
        this.finished += size;
      },
    };
  }

  private text(path: string, bytes: number): string {
    const rate = this.received / Math.max(0.001, (performance.now() - this.since) / 1000);
    const left = rate === 0 ? "" : `, ${timeText((this.total - bytes) / rate)} left`;
    return `${this.what}: ${path}  ${sizeText(bytes)} of ${sizeText(this.total)}, ${sizeText(rate)}/s${left}`;
  }
}

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** Bytes for people, in powers of a thousand. */
export function sizeText(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`;
}

const timeText = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
