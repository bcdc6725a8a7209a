import type { Failure } from "../../train/child.ts";
import { Forked } from "../../train/forked.ts";
import { ServiceError } from "../domain/service-error.ts";
import { serviceError, unloadable } from "./failures.ts";
import type { EngineLoad, FromEngine, Opening, ToEngine, Told } from "./ipc.ts";
import { type Answered, type EngineStatus, IDLE, type ServedBase } from "./types.ts";

/** The compiled module that an engine's process runs. */
export const ENGINE_CHILD = new URL("./child.js", import.meta.url);

/** Seconds before a process that died is started again: twice as long each time, up to this. */
const LONGEST_PAUSE = 30;
/** One that has lived for so many seconds begins with short pauses again. */
const STEADY = 60;

/** What a request is told. `end`: nothing more comes. */
interface Listener {
  hear(event: Answered): void;
  end(outcome: { readonly value: unknown } | { readonly failure: Failure | ServiceError }): void;
}

/**
 * One base in a process of its own, so that neither its computing nor its end stops the server. Where the process dies, all that it was doing
 * ends with `engine_restarted`, and it is started again.
 */
export class EngineProcess {
  private child: Forked<ToEngine, FromEngine> | undefined;
  private ready: Promise<ServedBase>;
  private setReady!: { resolve(base: ServedBase): void; reject(error: unknown): void };
  private readonly listeners = new Map<number, Listener>();
  private state: EngineStatus["state"] = "starting";
  private load: EngineLoad = IDLE;
  private restarts = 0;
  private pause = 0;
  private nextId = 1;
  private isClosed = false;

  constructor(
    private readonly opening: Opening,
    private readonly module: URL | string,
    /** Told how the process has ended, or why it could not begin. */
    private readonly onCrash: (how: string) => void,
  ) {
    this.ready = this.promised();
    this.start();
  }

  /** @throws {ServiceError} `engine_restarted`, or `internal_error` where the base cannot be loaded */
  base(): Promise<ServedBase> {
    return this.ready;
  }

  get status(): Omit<EngineStatus, "bytes"> {
    return { state: this.state, pid: this.child?.pid, restarts: this.restarts, ...this.load };
  }

  /** Sends a request, once `base` has come true, and says its number. */
  ask(message: Unnumbered, listener: Listener): number {
    const id = this.nextId++;
    this.listeners.set(id, listener);
    this.say({ ...message, id } as ToEngine);
    return id;
  }

  cancel(id: number): void {
    if (this.listeners.delete(id)) this.say({ kind: "cancel", id });
  }

  withdraw(model: string): void {
    this.say({ kind: "withdraw", model });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.setReady.reject(stopped());
    const { child } = this;
    if (child === undefined) return;
    child.say({ kind: "leave" });
    const timer = setTimeout(child.kill, 2000);
    await child.ended.catch(() => undefined);
    clearTimeout(timer);
  }

  private promised(): Promise<ServedBase> {
    const ready = new Promise<ServedBase>((resolve, reject) => {
      this.setReady = { resolve, reject };
    });
    ready.catch(() => undefined);
    return ready;
  }

  private say(message: ToEngine): void {
    this.child?.say(message);
  }

  private start(): void {
    const since = performance.now();
    this.child = new Forked(this.module, (message) => this.hear(message));
    this.child.ended.then(
      ({ code, signal }) => this.crashed(signal ?? `exit code ${code}`, since),
      (error) => this.crashed(String(error), since),
    );
    this.say({ kind: "open", opening: this.opening });
  }

  private hear(message: FromEngine): void {
    if (message.kind === "ready") {
      this.state = "ready";
      this.setReady.resolve(message.base);
    } else if (message.kind === "broken") {
      this.state = "failed";
      const { code, problem } = message.failure;
      this.onCrash(`${code}: ${problem}`);
      this.setReady.reject(unloadable());
      this.child?.kill();
    } else if (message.kind === "status") this.load = message.status;
    else for (const told of message.events) this.tell(told);
  }

  private tell(told: Told): void {
    const listener = this.listeners.get(told.id);
    if (listener === undefined) return;
    if ("event" in told) listener.hear(told.event);
    else {
      this.listeners.delete(told.id);
      listener.end(told);
    }
  }

  private crashed(how: string, since: number): void {
    if (this.isClosed || this.state === "failed") {
      this.drop(this.isClosed ? stopped() : unloadable());
      return;
    }
    this.onCrash(how);
    const lived = (performance.now() - since) / 1000;
    this.pause = lived > STEADY ? 0 : Math.min(LONGEST_PAUSE, 2 * this.pause + 0.5);
    const error = new ServiceError("engine_restarted", "the process that computes answers has ended and starts again", {
      retryAfter: Math.max(1, this.pause),
    });
    if (this.state === "starting") this.setReady.reject(error);
    this.state = "starting";
    this.load = IDLE;
    this.restarts++;
    this.ready = this.promised();
    this.drop(error);
    setTimeout(() => {
      if (!this.isClosed) this.start();
    }, this.pause * 1000).unref();
  }

  private drop(error: ServiceError): void {
    const all = [...this.listeners.values()];
    this.listeners.clear();
    for (const listener of all) listener.end({ failure: error });
  }
}

type Unnumbered = ToEngine extends infer Message
  ? Message extends { readonly id: number; readonly kind: "answer" | "encode" | "decode" }
    ? Omit<Message, "id">
    : never
  : never;

const stopped = (): ServiceError => new ServiceError("draining", "the server is being stopped", { retryAfter: 5 });

/** What a request is told of how its engine failed. */
export const asService = (failure: Failure | ServiceError): ServiceError =>
  failure instanceof ServiceError ? failure : serviceError(failure);
