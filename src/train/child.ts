import { type ChildProcess, fork } from "node:child_process";
import type { Readable } from "node:stream";
import type { ErrorCode } from "../error-codes.ts";
import { BoosterError, type ErrorDetails } from "../errors.ts";
import { stopOnSignals } from "./signals.ts";

/** What the parent says to the child. */
type ToChild =
  | { readonly kind: "start"; readonly payload: unknown }
  | { readonly kind: "stop"; readonly reason: string };

/** What the child says to the parent. */
type ToParent =
  | { readonly kind: "message"; readonly value: unknown }
  | { readonly kind: "done"; readonly value: unknown }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly problem: string;
      readonly details: Omit<ErrorDetails, "cause">;
    };

/** Characters kept of what the child writes to its standard error, for the report of a crash. */
const STDERR_KEPT = 4096;

export interface ChildOptions<Message> {
  /** Called with each message of the child, in order. */
  readonly onMessage?: ((message: Message) => void) | undefined;
  /** Aborted to ask the child to finish its step and leave; `runInChild` still waits for its result. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a module in a process of its own, so that a native call that blocks, a crash or lack of memory there leaves this
 * process alive and answering. The child is in its own process group: Ctrl-C reaches it only through `signal`. When this
 * process exits the child is killed; when this process is killed the child stops by itself, cleanly.
 *
 * The module calls `serveParent`. Payload, messages and result are structured clones; both sides come from one program,
 * so their types are taken on trust.
 *
 * @throws {BoosterError} the child's own error code, or `CHILD_KILLED`, `OUT_OF_MEMORY`, `CHILD_CRASHED` with the end of
 * its standard error.
 * @example
 * const result = await runInChild<Progress, TrainingResult>(new URL("./trainer.js", import.meta.url), config, { onMessage });
 */
export async function runInChild<Message, Result>(
  module: URL | string,
  payload: unknown,
  { onMessage, signal }: ChildOptions<Message> = {},
): Promise<Result> {
  const child = fork(module, [], {
    detached: true,
    serialization: "advanced",
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  const kill = (): void => void child.kill("SIGKILL");
  const stop = (): void => send(child, { kind: "stop", reason: String(signal?.reason) });
  process.once("exit", kill);
  try {
    const stderr = collectTail(child.stderr);
    let last: ToParent | undefined;
    child.on("message", (message) => {
      last = message as ToParent;
      if (last.kind === "message") onMessage?.(last.value as Message);
    });
    const closed = new Promise<[code: number | null, killedBy: NodeJS.Signals | null]>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, killedBy) => resolve([code, killedBy]));
    });
    send(child, { kind: "start", payload });
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    const [code, killedBy] = await closed;
    if (last?.kind === "done") return last.value as Result;
    if (last?.kind === "failed") throw new BoosterError(last.code, last.problem, last.details);
    throw crash(code, killedBy, stderr());
  } finally {
    process.off("exit", kill);
    signal?.removeEventListener("abort", stop);
  }
}

/** The child may be gone already; how it ended is reported by its exit. */
function send(child: ChildProcess, message: ToChild): void {
  if (child.connected) child.send(message, () => undefined);
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

function crash(code: number | null, killedBy: NodeJS.Signals | null, stderr: string): BoosterError {
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

/** What a module in a child process gets to work with. */
export interface ParentLink<Message> {
  /** Aborted when the parent, a signal, or the parent's disappearance asks for a stop. */
  readonly signal: AbortSignal;
  /** Sends a message to the parent; dropped when the parent is gone. */
  send(message: Message): void;
}

/**
 * The child's side of `runInChild`: waits for the payload, works, sends the result or the error, and exits.
 *
 * @example
 * serveParent<Config, Progress>(async (config, { signal, send }) => train({ ...plan(config), signal, onProgress: send }));
 */
export function serveParent<Payload, Message>(
  work: (payload: Payload, link: ParentLink<Message>) => Promise<unknown>,
): void {
  const asked = new AbortController();
  const signals = stopOnSignals();
  const link = {
    signal: AbortSignal.any([asked.signal, signals.signal]),
    send: (value: Message) => tell({ kind: "message", value }),
  };
  process.on("disconnect", () => asked.abort("the parent process is gone"));
  process.on("message", (message: ToChild) => {
    if (message.kind === "stop") return asked.abort(message.reason);
    work(message.payload as Payload, link).then(
      (value) => tell({ kind: "done", value }, () => process.exit(0)),
      (error: unknown) => tell(failure(error), () => process.exit(1)),
    );
  });
}

/** All that an error says; its cause stays here, for it may be anything. */
function failure(error: unknown): ToParent {
  if (!(error instanceof BoosterError)) {
    const problem = error instanceof Error ? `${error.stack}` : String(error);
    const hint = "This is a defect of the program: please report it with this message";
    return { kind: "failed", code: "INTERNAL", problem, details: { hint } };
  }
  const { cause: _, ...details } = error.details;
  return { kind: "failed", code: error.code, problem: error.problem, details };
}

function tell(message: ToParent, then: () => void = () => undefined): void {
  if (process.connected && process.send !== undefined) process.send(message, undefined, undefined, then);
  else then();
}
