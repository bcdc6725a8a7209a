import { call } from "./api/client.ts";
import { Problem } from "./api/problem.ts";
import { asProblem } from "./api/resource.svelte.ts";
import type { StoredFile } from "./api/types.ts";

/** Small enough that a cut connection loses seconds, and that progress is seen. */
const PART_BYTES = 4 * 2 ** 20;
/** Parts at once: more than one hides the way there and back. */
const AT_ONCE = 3;

/** What this browser remembers of an upload, so that it goes on where it stopped: also after a reload, with the same file. */
interface Begun {
  readonly upload: string;
  /** Ids of parts by their number; `null`: not there yet. */
  readonly parts: (string | null)[];
  readonly expires: number;
}

const keyOf = (file: File): string => `booster.upload:${file.name}:${file.size}:${file.lastModified}`;

function remembered(file: File): Begun | undefined {
  try {
    const begun = JSON.parse(localStorage.getItem(keyOf(file)) ?? "null") as Begun | null;
    return begun !== null && begun.expires > Date.now() / 1000 ? begun : undefined;
  } catch {
    return undefined;
  }
}

/** Waits so many seconds, or until it is aborted. */
const pause = (seconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

/** One file on its way to the server. */
export class Uploading {
  state: "going" | "stopped" | "done" = $state("going");
  /** Bytes that the server has. */
  sent = $state(0);
  problem: Problem | undefined = $state.raw();
  result: StoredFile | undefined = $state.raw();
  readonly resumed: boolean;
  #stop = new AbortController();

  constructor(
    readonly file: File,
    private readonly done: (result: StoredFile) => void,
  ) {
    this.resumed = remembered(file) !== undefined;
    void this.go();
  }

  /** Goes on with what the server does not have yet. */
  async go(): Promise<void> {
    this.state = "going";
    this.problem = undefined;
    this.#stop = new AbortController();
    try {
      const result = await this.#send(this.#stop.signal);
      localStorage.removeItem(keyOf(this.file));
      this.result = result;
      this.state = "done";
      this.done(result);
    } catch (error) {
      this.state = "stopped";
      if (this.#stop.signal.aborted) return;
      this.problem = asProblem(error);
      // What the server no longer knows is begun anew.
      if (this.problem.status === 400 || this.problem.status === 404) localStorage.removeItem(keyOf(this.file));
    }
  }

  pause(): void {
    this.#stop.abort();
  }

  async #send(signal: AbortSignal): Promise<StoredFile> {
    const { file } = this;
    const begun = remembered(file) ?? (await this.#begin(signal));
    const sizeOf = (part: number): number => Math.min(PART_BYTES, file.size - part * PART_BYTES);
    const count = (): void => {
      this.sent = begun.parts.reduce((sum, id, part) => sum + (id === null ? 0 : sizeOf(part)), 0);
    };
    count();
    const missing = begun.parts.flatMap((id, part) => (id === null ? [part] : []));
    let cut = false;
    const work = async (): Promise<void> => {
      for (let part = missing.shift(); part !== undefined && !cut; part = missing.shift()) {
        const body = new FormData();
        body.append("data", file.slice(part * PART_BYTES, part * PART_BYTES + sizeOf(part)), "part");
        try {
          const { id } = await call("POST /v1/uploads/{id}/parts", { params: { id: begun.upload }, body, signal });
          begun.parts[part] = id;
        } catch (error) {
          // A fast line comes to the limit of requests a minute: that part is sent again when there is room.
          if (error instanceof Problem && error.retryAfter !== undefined && error.status === 429 && !signal.aborted) {
            missing.unshift(part);
            await pause(error.retryAfter, signal);
            continue;
          }
          cut = true;
          throw error;
        }
        localStorage.setItem(keyOf(file), JSON.stringify(begun));
        count();
      }
    };
    // Parts that are on their way when another is cut off still count: whoever goes on sends none twice.
    const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
    const refused = ends.find((end) => end.status === "rejected");
    if (refused !== undefined) throw refused.reason;
    const upload = await call("POST /v1/uploads/{id}/complete", {
      params: { id: begun.upload },
      body: { part_ids: begun.parts as string[] },
      signal,
    });
    if (upload.file === null) throw new Error("the upload gave no file");
    return upload.file;
  }

  async #begin(signal: AbortSignal): Promise<Begun> {
    const { file } = this;
    const upload = await call("POST /v1/uploads", {
      body: {
        bytes: file.size,
        filename: file.name,
        mime_type: file.type === "" ? "application/jsonl" : file.type,
        purpose: "fine-tune",
      },
      signal,
    });
    const begun: Begun = {
      upload: upload.id,
      parts: Array.from({ length: Math.ceil(file.size / PART_BYTES) }, () => null),
      expires: upload.expires_at,
    };
    localStorage.setItem(keyOf(file), JSON.stringify(begun));
    return begun;
  }
}
