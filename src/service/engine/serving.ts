import { ServiceError } from "../domain/service-error.ts";
import { asService, ENGINE_CHILD, EngineProcess } from "./engine-process.ts";
import type { Opening } from "./ipc.ts";
import { Residents } from "./residents.ts";
import type { Answered, Ask, Caller, ServedBase, ServingEngine } from "./types.ts";

/**
 * What is served where nobody says otherwise. Reading 64 tokens of a long prompt takes about as long as a step of all rows, so whoever waits for a
 * next token waits about twice as long while it is read, and it has half of the time.
 */
const DEFAULTS = { slots: 8, rows: 32, share: 64, waiting: 1024, waitingPerGroup: 256, waitingSeconds: 60 };
/** Requests that may wait for a base that is being loaded. */
const LOADING = 256;

/** Seconds between two looks at whether models that are answering are still released. */
const LOOK_SECONDS = 2;

export interface ServingOptions {
  /** Where the base of a name is, as `openSource` takes it; undefined where there is none. */
  readonly folderOf: (name: string) => Promise<string | undefined>;
  /** The program's. */
  readonly version: string;
  /** Bytes that all bases may take. Default: half of what is free. */
  readonly memory?: number | undefined;
  readonly threads?: number;
  readonly slots?: number;
  /** Which of these models may not be served any more; asked every 2 s about those that are answering, since another server may have withdrawn one. It tells its own failures, and then names none. */
  readonly withdrawnOf?: (models: readonly string[]) => Promise<readonly string[]>;
  /** A model's adapter computes no numbers. */
  readonly onBroken?: (model: string) => void;
  /** A process has died, or a base could not be loaded. */
  readonly onCrash?: (base: string, how: string) => void;
  /** Compiled `child.ts`. */
  readonly module?: URL | string;
}

/** Events of a request that have come and were not read yet. */
class Inbox {
  private readonly events: Answered[] = [];
  private outcome: { readonly error?: unknown } | undefined;
  private wake: (() => void) | undefined;

  push(event: Answered): void {
    this.events.push(event);
    this.wake?.();
  }

  end(error?: unknown): void {
    this.outcome ??= error === undefined ? {} : { error };
    this.wake?.();
  }

  async *read(): AsyncGenerator<Answered> {
    for (;;) {
      const event = this.events.shift();
      if (event !== undefined) yield event;
      else if (this.outcome === undefined) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      } else if ("error" in this.outcome) throw this.outcome.error;
      else return;
    }
  }
}

/**
 * Serves bases, each from a process that is started when somebody asks for it.
 *
 * @example
 * const engine = startServing({ folderOf: async (name) => join("data/bases", name), version: "1" });
 */
export function startServing({
  folderOf,
  version,
  memory = process.availableMemory() / 2,
  withdrawnOf,
  onBroken,
  onCrash,
  module = ENGINE_CHILD,
  ...limits
}: ServingOptions): ServingEngine {
  const residents = new Residents({
    ...DEFAULTS,
    waiting: LOADING,
    memory,
    folderOf,
    start(name, reference, cacheBytes) {
      const opening: Opening = { ...DEFAULTS, ...limits, name, reference, version, cacheBytes };
      return new EngineProcess(opening, module, (how) => onCrash?.(name, how));
    },
    onFailed: (name, error) => onCrash?.(name, String(error)),
  });
  /** Models of requests that are being answered. */
  const running = new Set<{ readonly model: string | undefined }>();
  /** A name never means another model, so what is withdrawn stays so, whoever looked its name up before. */
  const withdrawn = new Set<string>();

  async function* answer(ask: Ask, { project, signal, onTokens }: Caller): AsyncGenerator<Answered> {
    const { process: engine, release } = await residents.hold(ask.model.base);
    const model = ask.model.adapter?.key;
    const inbox = new Inbox();
    const leave = () => inbox.end();
    const mine = { model };
    const counted: number[] = [];
    let id: number | undefined;
    signal?.addEventListener("abort", leave);
    running.add(mine);
    try {
      if (model !== undefined && withdrawn.has(model)) {
        throw new ServiceError("model_withdrawn", "this model is not served any more", { param: "model" });
      }
      if (signal?.aborted) return;
      id = engine.ask(
        { kind: "answer", ask, group: project },
        {
          hear(event) {
            if (event.kind !== "begun") {
              onTokens?.(event.completionTokens - (counted[event.index] ?? 0));
              counted[event.index] = event.completionTokens;
            }
            // One that has no text yet was only to be counted.
            if (event.kind !== "text" || event.text !== "" || event.tokens.length > 0) inbox.push(event);
          },
          end(outcome) {
            if (!("failure" in outcome)) return inbox.end();
            if (outcome.failure.code === "NON_FINITE_LOGITS" && model !== undefined) onBroken?.(model);
            inbox.end(asService(outcome.failure));
          },
        },
      );
      yield* inbox.read();
    } finally {
      signal?.removeEventListener("abort", leave);
      running.delete(mine);
      if (id !== undefined) engine.cancel(id);
      release();
    }
  }

  async function value<T>(base: string, message: Parameters<EngineProcess["ask"]>[0]): Promise<T> {
    const { process: engine, release } = await residents.hold(base);
    try {
      return await new Promise<T>((resolve, reject) => {
        engine.ask(message, {
          hear: () => undefined,
          end: (outcome) => ("failure" in outcome ? reject(asService(outcome.failure)) : resolve(outcome.value as T)),
        });
      });
    } finally {
      release();
    }
  }

  async function base(name: string): Promise<ServedBase> {
    const { process: engine, release } = await residents.hold(name);
    release();
    return engine.base();
  }

  function withdraw(model: string): void {
    withdrawn.add(model);
    for (const engine of residents.processes()) engine.withdraw(model);
  }

  async function look(): Promise<void> {
    const models = new Set([...running].flatMap(({ model }) => model ?? []));
    if (models.size > 0) for (const model of (await withdrawnOf?.([...models])) ?? []) withdraw(model);
  }
  const looking = withdrawnOf && setInterval(() => void look(), LOOK_SECONDS * 1000).unref();

  return {
    answer,
    tokenize: (base, text, special) => value<number[]>(base, { kind: "encode", text, special }),
    detokenize: (base, ids) => value<string>(base, { kind: "decode", ids }),
    base,
    leave: (name) => residents.leave(name),
    withdraw,
    status: () => residents.status(),
    async close() {
      clearInterval(looking);
      await residents.close();
    },
  };
}
