import { ServiceError } from "../domain/service-error.ts";
import { asService, ENGINE_CHILD, EngineProcess } from "./engine-process.ts";
import type { Opening } from "./ipc.ts";
import type { Answered, Ask, Caller, EngineStatus, ServedBase, ServingEngine } from "./types.ts";

/** What is served where nobody says otherwise. */
const DEFAULTS = { slots: 8, rows: 32, waiting: 256, waitingSeconds: 60 };

/** Seconds between two looks at whether models that are answering are still released. */
const LOOK_SECONDS = 2;

export interface ServingOptions extends Partial<Omit<Opening, "name" | "reference" | "version">> {
  /** References by name, as `openSource` takes them. */
  readonly bases: Readonly<Record<string, string>>;
  /** The program's. */
  readonly version: string;
  /** Which of these models may not be served any more; asked every 2 s about those that are answering, since another server may have withdrawn one. It tells its own failures, and then names none. */
  readonly withdrawnOf?: (models: readonly string[]) => Promise<readonly string[]>;
  /** A model's adapter computes no numbers. */
  readonly onBroken?: (model: string) => void;
  /** A process has died, or could not begin. */
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
 * Starts a process for each base. The promise is there at once; who asks a base that is still loading waits for it.
 *
 * @example
 * const engine = startServing({ bases: { world: "assets/world" }, version: "1" });
 */
export function startServing({
  bases,
  version,
  withdrawnOf,
  onBroken,
  onCrash,
  module,
  ...limits
}: ServingOptions): ServingEngine {
  /** Models of requests that are being answered, by process and number. */
  const running = new Map<string, Map<number, string | undefined>>();
  const processes = new Map(
    Object.entries(bases).map(([name, reference]) => {
      const mine = new Map<number, string | undefined>();
      running.set(name, mine);
      const opening: Opening = { ...DEFAULTS, ...limits, name, reference, version };
      const watch = {
        onFailure(id: number, { code }: { readonly code: string }) {
          const model = mine.get(id);
          if (code === "NON_FINITE_LOGITS" && model !== undefined) onBroken?.(model);
        },
        onCrash: (how: string) => onCrash?.(name, how),
      };
      return [name, new EngineProcess(opening, module ?? ENGINE_CHILD, watch)] as const;
    }),
  );
  function processOf(name: string): EngineProcess {
    const found = processes.get(name);
    if (found !== undefined) return found;
    throw new ServiceError("model_not_found", "there is no base of this name", { param: "model" });
  }

  /** A name never means another model, so what is withdrawn stays so, whoever looked its name up before. */
  const withdrawn = new Set<string>();
  async function* answer(ask: Ask, { project, signal }: Caller): AsyncGenerator<Answered> {
    const engine = processOf(ask.model.base);
    await engine.base();
    if (ask.model.adapter !== undefined && withdrawn.has(ask.model.adapter.key)) {
      throw new ServiceError("model_withdrawn", "this model is not served any more", { param: "model" });
    }
    const inbox = new Inbox();
    const leave = () => inbox.end();
    signal?.addEventListener("abort", leave);
    let id: number | undefined;
    try {
      if (signal?.aborted) return;
      id = engine.ask(
        { kind: "answer", ask, group: project },
        {
          hear: (event) => inbox.push(event),
          end: (outcome) => inbox.end("failure" in outcome ? asService(outcome.failure) : undefined),
        },
      );
      running.get(ask.model.base)?.set(id, ask.model.adapter?.key);
      yield* inbox.read();
    } finally {
      signal?.removeEventListener("abort", leave);
      if (id !== undefined) {
        engine.cancel(id);
        running.get(ask.model.base)?.delete(id);
      }
    }
  }

  async function value<T>(base: string, message: Parameters<EngineProcess["ask"]>[0]): Promise<T> {
    const engine = processOf(base);
    await engine.base();
    return new Promise<T>((resolve, reject) => {
      engine.ask(message, {
        hear: () => undefined,
        end: (outcome) => ("failure" in outcome ? reject(asService(outcome.failure)) : resolve(outcome.value as T)),
      });
    });
  }

  function withdraw(model: string): void {
    withdrawn.add(model);
    for (const engine of processes.values()) engine.withdraw(model);
  }

  async function look(): Promise<void> {
    const models = new Set(
      [...running.values()].flatMap((mine) => [...mine.values()]).filter((model) => model !== undefined),
    );
    if (models.size > 0) for (const model of (await withdrawnOf?.([...models])) ?? []) withdraw(model);
  }
  const looking = withdrawnOf && setInterval(() => void look(), LOOK_SECONDS * 1000).unref();

  return {
    answer,
    tokenize: (base, text, special) => value<number[]>(base, { kind: "encode", text, special }),
    detokenize: (base, ids) => value<string>(base, { kind: "decode", ids }),
    base: async (name): Promise<ServedBase> => processOf(name).base(),
    withdraw,
    status: () =>
      Object.fromEntries([...processes].map(([name, engine]): [string, EngineStatus] => [name, engine.status])),
    async close() {
      clearInterval(looking);
      await Promise.all([...processes.values()].map((engine) => engine.close()));
    },
  };
}
