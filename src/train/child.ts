import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import type { ErrorCode } from "../error-codes.ts";
import { asBoosterError, BoosterError, type ErrorDetails } from "../errors.ts";
import type { Event, Following } from "./event.ts";
import { type Ended, Forked } from "./forked.ts";
import { stopOnSignals } from "./signals.ts";

/** What the parent says to the child. */
type ToChild =
  | { readonly kind: "start"; readonly payload: unknown }
  | { readonly kind: "stop"; readonly reason: string }
  | { readonly kind: "leave" };

/** All of an error that one process tells another: its cause stays where it was, for it may be anything. */
export interface Failure {
  readonly code: ErrorCode;
  readonly problem: string;
  readonly details: Omit<ErrorDetails, "cause">;
}

/** What the child says to the parent. */
type ToParent =
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "done"; readonly value: unknown }
  | ({ readonly kind: "failed" } & Failure);

/** Between two looks at how much memory a child has. */
const LOOK_MS = 500;

/** Characters kept of what the child writes to its standard error, for the report of a crash. */
const STDERR_KEPT = 4096;

/**
 * A module in a process of its own, so that a native call that blocks, a crash or lack of memory there leaves this process alive
 * and answering. Ctrl-C reaches it only through the signal of what it was asked. When this process exits the child is killed; when
 * this process is killed the child stops by itself, cleanly.
 *
 * The module calls `serveParent`. Payloads, events and results are structured clones.
 */
export class Child {
  private readonly forked: Forked<ToChild, ToParent>;
  private readonly gone: Promise<BoosterError>;
  private asked: { hear(said: ToParent): void; lose(why: unknown): void } | undefined;

  /**
   * @param memory bytes that the child may have. One with more is killed, with `OUT_OF_MEMORY`, before the system chooses whom to kill; where
   * the system does not tell how much a process has (it does on Linux), nobody is
   */
  constructor(module: URL | string, memory = Number.POSITIVE_INFINITY) {
    this.forked = new Forked(module, (said) => this.asked?.hear(said), "pipe");
    const stderr = collectTail(this.forked.stderr);
    let tooMuch: number | undefined;
    const watch = setInterval(() => {
      const bytes = residentBytes(this.forked.pid);
      if (bytes <= memory) return;
      tooMuch = bytes;
      this.forked.kill();
    }, LOOK_MS).unref();
    this.gone = this.forked.ended
      .then((ended) => (tooMuch === undefined ? crash(ended, stderr()) : overgrown(tooMuch, memory)))
      .finally(() => clearInterval(watch));
    const lose = (why: unknown): void => this.asked?.lose(why);
    this.gone.then(lose, lose);
  }

  /**
   * One piece of work; the child takes one at a time. Asked to stop it finishes its step and saves, and its result is waited for;
   * as long as it is preparing there is nothing to save, and it is killed.
   *
   * @param unprepared what a stop does before the child has told anything: it ends the child, or is passed on
   * @throws {BoosterError} the child's own error code, `STOPPED`, or `CHILD_KILLED`, `OUT_OF_MEMORY`, `CHILD_CRASHED` with the end of
   * its standard error
   */
  ask<Result>(
    payload: unknown,
    { emit, signal }: Following = {},
    unprepared: "kill" | "stop" = "kill",
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      let preparing = unprepared === "kill";
      let dropped = false;
      const end = (): void => {
        this.asked = undefined;
        signal?.removeEventListener("abort", stop);
      };
      const hear = (said: ToParent): void => {
        if (said.kind === "event") {
          const { event } = said;
          // A notice may come at any time.
          if (event.type !== "notice") preparing = event.type === "work" && event.preparing === true;
          emit?.(event);
          return;
        }
        end();
        if (said.kind === "done") resolve(said.value as Result);
        else reject(new BoosterError(said.code, said.problem, said.details));
      };
      const lose = (why: unknown): void => {
        end();
        reject(dropped ? new BoosterError("STOPPED", "the work was stopped before its first step") : why);
      };
      const stop = (): void => {
        dropped = preparing;
        if (preparing) this.forked.kill();
        else this.forked.say({ kind: "stop", reason: String(signal?.reason) });
      };
      this.asked = { hear, lose };
      // One that is gone already hears nothing.
      if (!this.isAlive) this.gone.then(lose, lose);
      this.forked.say({ kind: "start", payload });
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /** Whether it can be asked more. */
  get isAlive(): boolean {
    return this.forked.isConnected;
  }

  /** Ends the child at once, whatever it does. */
  destroy(): void {
    this.forked.kill();
  }

  /** Lets the child go once it has nothing to do. */
  async close(): Promise<void> {
    this.forked.say({ kind: "leave" });
    await this.gone;
  }
}

/**
 * One piece of work in a process of its own. Throws what `Child.ask` throws.
 *
 * @example
 * const result = await runInChild<TrainingOutcome>(new URL("./worker.js", import.meta.url), task, { emit: console.log });
 */
export async function runInChild<Result>(
  module: URL | string,
  payload: unknown,
  following: Following = {},
): Promise<Result> {
  const child = new Child(module);
  try {
    return await child.ask<Result>(payload, following);
  } finally {
    await child.close();
  }
}

/** Passes the stream on and remembers its end. */
function collectTail(stream: Readable | null): () => string {
  let tail = "";
  stream?.setEncoding("utf8").on("data", (text: string) => {
    process.stderr.write(text);
    tail = (tail + text).slice(-STDERR_KEPT);
  });
  return () => tail;
}

const LESS_MEMORY = "Use a smaller micro-batch, a shorter maximum length, or a smaller model, then resume the run";

/** Bytes of memory that a process has; 0 where that is not told. */
function residentBytes(pid: number | undefined): number {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return 1024 * Number(kilobytes ?? 0);
  } catch {
    // It has just ended, or this is no Linux.
    return 0;
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

const overgrown = (bytes: number, limit: number): BoosterError =>
  new BoosterError("OUT_OF_MEMORY", "the process that does the work took more memory than it may have", {
    expected: `at most ${gigabytes(limit)}`,
    found: gigabytes(bytes),
    hint: LESS_MEMORY,
  });

function crash({ code, signal: killedBy }: Ended, stderr: string): BoosterError {
  if (/heap out of memory|bad_alloc|failed to allocate memory/i.test(stderr)) {
    return new BoosterError("OUT_OF_MEMORY", "the training process ran out of memory", {
      found: lastLines(stderr),
      hint: LESS_MEMORY,
    });
  }
  if (killedBy === "SIGKILL") {
    return new BoosterError("CHILD_KILLED", "the training process was killed", {
      found: "SIGKILL",
      hint: `If nobody killed it by hand, the system ran out of memory. ${LESS_MEMORY}`,
    });
  }
  return new BoosterError("CHILD_CRASHED", "the training process ended without a result", {
    found: `${killedBy ?? `exit code ${code}`}${stderr === "" ? "" : `; it wrote: ${lastLines(stderr)}`}`,
    hint: "What was saved is intact: resume the run. If it ends like this again, report it with this message",
  });
}

const lastLines = (text: string): string => text.trim().split("\n").slice(-5).join(" | ");

/**
 * The child's side: does one piece of work after the other, and exits when the parent lets go or is gone.
 *
 * @param work its signal is aborted when the parent, a signal, or the parent's disappearance asks for a stop
 * @example
 * serveParent<Task>((task, { emit, signal }) => align(task.options, { emit, signal }));
 */
export function serveParent<Payload>(
  work: (
    payload: Payload,
    following: { readonly emit: (event: Event) => void; readonly signal: AbortSignal },
  ) => Promise<unknown>,
): void {
  const signals = stopOnSignals();
  const emit = (event: Event): void => tell({ kind: "event", event });
  let asked = new AbortController();
  let busy = false;
  // The parent may have gone while this program was loaded; what it had asked for is not begun.
  if (process.connected === false) process.exit();
  process.on("disconnect", () => {
    asked.abort("the parent process is gone");
    if (!busy) process.exit();
  });
  process.on("message", (message: ToChild) => {
    if (message.kind === "leave") process.exit();
    if (message.kind === "stop") return asked.abort(message.reason);
    asked = new AbortController();
    busy = true;
    const signal = AbortSignal.any([asked.signal, signals.signal]);
    work(message.payload as Payload, { signal, emit })
      .then(
        (value): ToParent => ({ kind: "done", value }),
        (error): ToParent => ({ kind: "failed", ...failureOf(error) }),
      )
      .then((end) => {
        busy = false;
        if (process.connected) tell(end);
        else process.exit();
      });
  });
}

/** Any error as it is told. */
export function failureOf(error: unknown): Failure {
  const { code, problem, details } = asBoosterError(error);
  const { cause: _, ...told } = details;
  return { code, problem, details: told };
}

/** Where the parent is gone, `disconnect` says so. */
function tell(message: ToParent): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
