import { ServiceError } from "../domain/service-error.ts";
import type { EngineProcess } from "./engine-process.ts";
import { unloadable } from "./failures.ts";
import { footprintOf } from "./footprint.ts";
import { type EngineStatus, IDLE } from "./types.ts";

/** Caches of one base at most, as a share of what all bases may take. */
const CACHES = 1 / 4;

/** A base that could not be loaded is tried again, when somebody asks for it, after so many seconds. */
const RETRY_SECONDS = 30;

export interface ResidentOptions {
  /** Bytes that all bases may take. One is always let in. */
  readonly memory: number;
  /** Answers that a base writes at once. */
  readonly rows: number;
  /** Requests that may wait for a base that is being loaded, and seconds that room may be waited for. */
  readonly waiting: number;
  readonly waitingSeconds: number;
  /** Where a base is; undefined where there is none of this name. */
  readonly folderOf: (name: string) => Promise<string | undefined>;
  /** Begins to load one. */
  start(name: string, reference: string, cacheBytes: number): EngineProcess;
  onFailed(name: string, error: unknown): void;
}

/** A base that is in memory or wants to be. */
class Resident {
  /** What it counts with: nothing as long as there is no room for it, or where it cannot be loaded. */
  bytes = 0;
  process: EngineProcess | undefined;
  failedAt: number | undefined;
  /** Requests that have it. */
  holds = 0;
  /** When it was last asked for. */
  used = 0;
  readonly ready: Promise<EngineProcess>;

  constructor(
    readonly name: string,
    load: (resident: Resident) => Promise<EngineProcess>,
  ) {
    this.ready = load(this);
    // Those who asked are told.
    this.ready.catch(() => undefined);
  }
}

/** A base's process for the time of a request: as long as it is held it does not leave. */
export interface Held {
  readonly process: EngineProcess;
  release(): void;
}

/**
 * Bases under one memory budget, each a process: loaded when somebody asks, and let go when another needs the room, the least recently used one.
 * One that is held goes when its last request is over; who asks for it meanwhile waits until it is there again. So everybody is served in the
 * end, and no answer is cut.
 */
export class Residents {
  private readonly present = new Map<string, Resident>();
  private readonly leaving = new Set<Resident>();
  /** Bases wait for room in the order in which they were asked for. */
  private queue: Promise<void> = Promise.resolve();
  private wake: (() => void) | undefined;
  private clock = 0;
  private isClosed = false;

  constructor(private readonly options: ResidentOptions) {}

  /** @throws {ServiceError} `model_not_found`, `engine_overloaded`, `engine_restarted`, `internal_error` where it cannot be loaded, `draining` */
  async hold(name: string): Promise<Held> {
    if (this.isClosed) throw stopping();
    const resident = this.residentOf(name);
    if (resident.process?.status.state !== "ready" && resident.holds >= this.options.waiting) {
      throw overloaded("too many requests wait for this model to be loaded");
    }
    resident.holds++;
    resident.used = ++this.clock;
    const release = (): void => {
      resident.holds--;
      if (resident.holds === 0 && this.leaving.has(resident)) void this.end(resident);
    };
    try {
      const process = await resident.ready;
      await process.base();
      return { process, release };
    } catch (error) {
      if (resident.process?.status.state === "failed") this.fail(resident);
      release();
      throw error;
    }
  }

  /** Lets a base go when its last request is over; whoever asks for it again has it loaded again. */
  leave(name: string): void {
    const resident = this.present.get(name);
    if (resident === undefined) return;
    this.present.delete(name);
    this.leaving.add(resident);
    if (resident.holds === 0) void this.end(resident);
  }

  processes(): EngineProcess[] {
    return this.all().flatMap(({ process }) => process ?? []);
  }

  status(): Record<string, EngineStatus> {
    return Object.fromEntries(this.all().map((resident) => [resident.name, this.statusOf(resident)]));
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.wake?.();
    await Promise.all(this.processes().map((process) => process.close()));
  }

  private all = (): Resident[] => [...this.leaving, ...this.present.values()];

  private statusOf(resident: Resident): EngineStatus {
    const { process, failedAt, bytes } = resident;
    const own = process?.status ?? NOT_THERE;
    if (failedAt !== undefined) return { ...own, state: "failed", bytes };
    return { ...own, bytes, ...(this.leaving.has(resident) ? { state: "leaving" } : {}) };
  }

  private residentOf(name: string): Resident {
    const known = this.present.get(name);
    const isStale = performance.now() - (known?.failedAt ?? Number.POSITIVE_INFINITY) > RETRY_SECONDS * 1000;
    if (known !== undefined && !isStale) return known;
    void known?.process?.close();
    const resident = new Resident(name, (resident) => this.load(resident));
    this.present.set(name, resident);
    return resident;
  }

  private async load(resident: Resident): Promise<EngineProcess> {
    const { name } = resident;
    const { memory, rows, folderOf, start, onFailed } = this.options;
    try {
      const reference = await folderOf(name);
      if (reference === undefined) throw new ServiceError("model_not_found", "there is no base of this name", PARAM);
      const { weights, caches } = footprintOf(reference, rows);
      const cacheBytes = Math.min(caches, memory * CACHES);
      const turn = this.queue.then(() => this.makeRoom(resident, weights + cacheBytes));
      this.queue = turn.catch(() => undefined);
      await turn;
      resident.process = start(name, reference, cacheBytes);
      return resident.process;
    } catch (error) {
      if (error instanceof ServiceError) {
        // It is not there, or found no room: the next one who asks may have more luck.
        if (this.present.get(name) === resident) this.present.delete(name);
        throw error;
      }
      this.fail(resident);
      onFailed(name, error);
      throw unloadable();
    }
  }

  private fail(resident: Resident): void {
    resident.failedAt ??= performance.now();
    resident.bytes = 0;
    this.wake?.();
  }

  private async makeRoom(resident: Resident, bytes: number): Promise<void> {
    const { memory, waitingSeconds } = this.options;
    const late = performance.now() + waitingSeconds * 1000;
    const sum = (some: readonly Resident[]) => some.reduce((total, { bytes }) => total + bytes, 0);
    for (;;) {
      if (this.isClosed) throw stopping();
      const taken = sum(this.all());
      if (taken === 0 || taken + bytes <= memory) {
        resident.bytes = bytes;
        return;
      }
      const staying = [...this.present.values()].filter((one) => one.bytes > 0);
      const [oldest] = staying.sort((a, b) => Number(a.holds > 0) - Number(b.holds > 0) || a.used - b.used);
      if (oldest !== undefined && sum(staying) + bytes > memory) {
        this.leave(oldest.name);
        continue;
      }
      const left = late - performance.now();
      if (left <= 0) throw overloaded("other models are busy, and there is no room for this one");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  private async end(resident: Resident): Promise<void> {
    await resident.process?.close();
    this.leaving.delete(resident);
    this.wake?.();
  }
}

const PARAM = { param: "model" };
const NOT_THERE: EngineStatus = { ...IDLE, state: "starting", pid: undefined, restarts: 0 };
const overloaded = (why: string): ServiceError => new ServiceError("engine_overloaded", why, { retryAfter: 5 });
const stopping = (): ServiceError => new ServiceError("draining", "the server is being stopped", { retryAfter: 5 });
