import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { JsonValue } from "../domain/json.ts";
import { LIMITS } from "../domain/limits.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { WebhookMessage, WebhookTry } from "../domain/webhook.ts";
import type { Experiments } from "../pipeline/experiments.ts";
import type { Moderators } from "../pipeline/moderators.ts";
import type { Once } from "../store/once.ts";
import type { Store } from "../store/store.ts";
import type { Core } from "./core.ts";
import type { Call } from "./route.ts";
import type { Streams } from "./streams.ts";

/** What routes work with: what every request needs, and what a server keeps. */
export interface Service extends Core {
  readonly store: Store;
  /** Threads of every program of a job: they are part of what makes its bytes. */
  readonly jobThreads: number;
  /** What must work for the server to be ready; each says in a sentence what does not, or notes what need not. */
  readonly parts: Readonly<Record<string, () => Promise<string | { readonly note: string } | undefined>>>;
  /** Ends the serving of a model at once on this server; others find out at their next look. */
  readonly withdraw: (model: string) => void;
  /** Those of events that are open. */
  readonly streams: Streams;
  readonly webhooks: WebhookSender;
  /** Those that requests ask. */
  readonly moderators: Moderators;
  /** Those whose reports are shown. */
  readonly experiments: Experiments;
}

/** How this server asks receivers of webhooks. */
export interface WebhookSender {
  /** Why an address may not be asked; undefined where it may. */
  faultOf(address: string): string | undefined;
  /** Whether the operator has named the host of an address that has no fault. */
  isNamed(address: string): boolean;
  send(target: { readonly url: string; readonly key: Uint8Array }, message: WebhookMessage): Promise<WebhookTry>;
}

/** What is there; what is not, or is another's, is refused in the same words. @throws {ServiceError} `not_found` */
export function found<T>(value: T | undefined): T {
  if (value !== undefined) return value;
  throw new ServiceError("not_found", "there is no such thing");
}

/** Whether a request may be one that was answered before. */
export const mayRepeat = ({ c }: Call<unknown, unknown>): boolean =>
  c.req.header("idempotency-key") !== undefined || retriesOf(c) >= 1;

const retriesOf = (c: Call<unknown, unknown>["c"]): number => Number(c.req.header("x-stainless-retry-count") ?? 0);

/** How a creating request is known again: by its key, or as a client's own retry of all the same. @throws {ServiceError} `invalid_value` */
export function onceOf({ c }: Call<unknown, unknown>, what: JsonValue): Once {
  const key = c.req.header("idempotency-key");
  if (key !== undefined && (key === "" || key.length > LIMITS.idempotencyKeyLength)) {
    throw new ServiceError("invalid_value", "the Idempotency-Key is too long or empty", {
      expected: `1 to ${LIMITS.idempotencyKeyLength} characters`,
    });
  }
  const asked = canonicalJson([c.req.method, c.req.path, what]);
  return {
    key,
    fingerprint: sha256Of(asked),
    retry: retriesOf(c) >= 1,
  };
}
