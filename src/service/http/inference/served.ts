import type { Principal } from "../../domain/principal.ts";
import { givenUp, ServiceError } from "../../domain/service-error.ts";
import {
  type Answered,
  type Ask,
  charactersOf,
  type ServedBase,
  type ServedFinish,
  type ServedModel,
  type ServedPrompt,
  type ServedToken,
  type ServingEngine,
} from "../../engine/types.ts";
import { unusable } from "../create-job.ts";
import { leastTokens } from "../rates.ts";
import type { Call } from "../route.ts";
import type { Service } from "../service.ts";

/** What the routes of inference work with. */
export interface Serving {
  readonly service: Service;
  readonly engine: ServingEngine;
}

/**
 * What a model's name means for a key: only released models and bases are served.
 *
 * @throws {ServiceError} `model_not_found`, `model_not_released`, `model_withdrawn`
 */
export async function modelNamed(
  { service: { store } }: Serving,
  principal: Principal,
  name: string,
): Promise<ServedModel> {
  const base = await store.bases.get(name);
  if (base?.state === "active") return { base: base.name };
  const named = base === undefined ? await store.models.resolve(principal, name) : undefined;
  if (named === undefined) {
    throw new ServiceError("model_not_found", "there is no such model, or this key may not use it", { param: "model" });
  }
  if (named.state !== "released") throw unusable(named.state);
  const { id, base: below, files } = named.model;
  const paths = await Promise.all(
    Object.entries(files).map(async ([file, sha256]) => [file, await store.blobs.path(sha256)] as const),
  );
  return { base: below, adapter: { key: id, files: Object.fromEntries(paths) } };
}

/** Of one request: what comes, and what has come so far. */
export interface Served {
  readonly base: ServedBase;
  readonly promptTokens: number;
  /** Text and ends as they come. */
  readonly events: AsyncIterable<Exclude<Answered, { readonly kind: "begun" }>>;
  usage(): Usage;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** How many tokens a prompt has at least, or nearly. */
const leastTokensOf = (prompt: ServedPrompt): number =>
  "ids" in prompt ? prompt.ids.length : leastTokens(charactersOf(prompt));

/**
 * Begins to answer: what is wrong with a request is thrown here, before anything is sent.
 *
 * @param signal its abort ends all rows
 * @throws {ServiceError} what `ServingEngine.answer` throws, and `token_limit_exceeded`
 */
async function serve(
  serving: Serving,
  { principal, c }: Call<unknown, unknown>,
  ask: Ask,
  signal: AbortSignal,
): Promise<Served> {
  const { engine, service } = serving;
  const base = await engine.base(ask.model.base);
  const paid = ask.prompts.reduce((sum, prompt) => sum + leastTokensOf(prompt), 0);
  const { rates, store } = service;
  rates.pay(principal.key, paid);
  const project = principal.project!;
  let completion = 0;
  const onTokens = (computed: number): void => {
    completion += computed;
  };
  const events = engine.answer(ask, { project, signal, onTokens })[Symbol.asyncIterator]();
  const first = await events.next();
  if (first.done === true || first.value.kind !== "begun") throw givenUp();
  const promptTokens = first.value.promptTokens.reduce((a, b) => a + b, 0);
  rates.tokens.settle(principal.key, Math.max(0, promptTokens - paid));
  async function close(): Promise<void> {
    await events.return?.();
    rates.tokens.settle(principal.key, completion);
    c.set("about", { ...c.get("about"), prompt_tokens: promptTokens, completion_tokens: completion });
    const model = ask.model.adapter?.key ?? ask.model.base;
    await store.usage.add(principal, model, {
      requests: 1,
      prompt_tokens: promptTokens,
      completion_tokens: completion,
    });
  }
  let closed: Promise<void> | undefined;
  const closeOnce = () => (closed ??= close());
  // Who leaves before the first event is asked for never enters the loop that would end.
  const onLeave = () => void closeOnce().catch((err: unknown) => service.log.error({ err }, "usage was not counted"));
  signal.addEventListener("abort", onLeave, { once: true });
  if (signal.aborted) onLeave();
  async function* told() {
    try {
      for (;;) {
        const { done, value } = await events.next();
        if (done === true) return;
        if (value.kind !== "begun") yield value;
      }
    } finally {
      await closeOnce();
    }
  }
  return {
    base,
    promptTokens,
    events: told(),
    usage: () => ({
      prompt_tokens: promptTokens,
      completion_tokens: completion,
      total_tokens: promptTokens + completion,
    }),
  };
}

/**
 * Reads a request, finds its model and begins to answer. Throws what `modelNamed`, `askOf` and `serve` throw.
 *
 * @param askOf what the engine is asked, of a body and the model that it names
 */
export async function begin<B extends { readonly model: string }>(
  serving: Serving,
  call: Call<undefined, B>,
  askOf: (body: B, model: ServedModel) => Ask,
): Promise<{ readonly ask: Ask; readonly served: Served; readonly leave: AbortController }> {
  const { body, principal } = call;
  const ask = askOf(body, await modelNamed(serving, principal, body.model));
  const leave = leaving(call);
  return { ask, served: await serve(serving, call, ask, leave.signal), leave };
}

/** A whole answer. */
export interface Whole {
  text: string;
  tokens: ServedToken[];
  finish: ServedFinish;
}

/** All answers of a request, by their index. */
export async function wholes({ events }: Served, count: number): Promise<Whole[]> {
  const all: Whole[] = Array.from({ length: count }, () => ({ text: "", tokens: [], finish: "stop" }));
  let finished = 0;
  for await (const event of events) {
    const one = all[event.index]!;
    if (event.kind === "text") {
      one.text += event.text;
      one.tokens.push(...event.tokens);
    } else {
      one.finish = event.finish;
      finished++;
    }
  }
  if (finished < count) throw givenUp();
  return all;
}

/** Aborted when the client is gone, or when nobody reads its stream any more. */
function leaving({ gone }: Pick<Call<unknown, unknown>, "gone">): AbortController {
  const either = new AbortController();
  if (gone.aborted) either.abort();
  gone.addEventListener("abort", () => either.abort(), { once: true });
  return either;
}

/** Seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000);
