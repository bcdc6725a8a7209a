import type { Principal, Scope } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { ACCESS } from "./access.ts";
import type { Core } from "./core.ts";
import { duration, type RateKind } from "./rates.ts";
import { type Env, keyOf, type Route } from "./route.ts";
import { checkOrigin, sessionIn } from "./session.ts";

const REFUSED = {
  invalid: ["invalid_api_key", "this is no key of this server"],
  revoked: ["key_revoked", "this key was revoked"],
  expired: ["key_expired", "this key has expired"],
} as const;

type Incoming = Env["Bindings"]["incoming"];

/** A wrong key, or none: an address that sends many has to wait. What to throw. */
export function refuseKey(core: Core, { socket }: Incoming, why: keyof typeof REFUSED | "missing"): ServiceError {
  const wait = core.rates.failedLogins.take(socket.remoteAddress ?? "");
  if (wait !== undefined) {
    return new ServiceError("rate_limit_exceeded", "too many wrong keys came from this address", { retryAfter: wait });
  }
  if (why === "missing") {
    return new ServiceError("invalid_api_key", "no key came with this request", {
      expected: "the header Authorization: Bearer sk-booster-...",
    });
  }
  const [code, message] = REFUSED[why];
  return new ServiceError(code, message);
}

/** Whose key or session came with a request, or why it is nobody's; nothing is counted. */
async function found(core: Core, incoming: Incoming) {
  const { authorization } = incoming.headers;
  const secret = authorization === undefined ? sessionIn(incoming) : undefined;
  if (secret !== undefined) {
    const session = await core.sessions.find(secret);
    return "principal" in session ? session : ({ refused: "session" } as const);
  }
  const presented = /^Bearer (\S{1,200})$/i.exec(authorization ?? "")?.[1];
  return presented === undefined ? ({ refused: "missing" } as const) : core.keys.find(presented);
}

/** Whether whoever was let in once still would be: their key may have been revoked, their session have ended. */
export const isStillKnown = async (core: Core, incoming: Incoming): Promise<boolean> =>
  "principal" in (await found(core, incoming));

/** Whose key or session came with a request. @throws {ServiceError} 401, 429 */
export async function whoAsks(core: Core, { method }: Pick<Route, "method">, incoming: Incoming): Promise<Principal> {
  if (method !== "get" && incoming.headers.authorization === undefined && sessionIn(incoming) !== undefined) {
    checkOrigin(incoming);
  }
  const who = await found(core, incoming);
  if ("principal" in who) return who.principal;
  if (who.refused !== "session") throw refuseKey(core, incoming, who.refused);
  // A page that was left open asks again and again: that is no attempt at a key.
  throw new ServiceError("session_ended", "this session has ended", { hint: "Sign in again" });
}

/**
 * Who asks, and whether they may, before anything of the request is read.
 *
 * @throws {ServiceError} 400 in a project that is only read, 401, 403, 429
 */
export async function admit(core: Core, spec: Route, incoming: Incoming): Promise<Principal | undefined> {
  const access = ACCESS[keyOf(spec)]!;
  if (access.scope === "everyone") return undefined;
  const principal = await whoAsks(core, spec, incoming);
  const { scopes, project } = principal;
  if (access.scope !== "key" && !scopes.includes(access.scope)) {
    throw new ServiceError("missing_scope", `this key has not the scope ${access.scope}`, { expected: access.scope });
  }
  const asked = incoming.headers["openai-project"];
  if (asked !== undefined && asked !== "" && asked !== project) {
    throw new ServiceError("mismatched_project", "this key is not of the project that the header OpenAI-Project names");
  }
  if (
    access.tenant === true &&
    access.scope !== "jobs:read" &&
    access.scope !== "models:read" &&
    project === undefined
  ) {
    throw new ServiceError("missing_scope", "this key belongs to no project", { expected: "a key of a project" });
  }
  const kind = rateKind(access.scope, spec.method);
  if (kind !== undefined) core.rates.request(kind, principal.key);
  const changes = access.tenant === true && spec.method !== "get" && !STOPS.has(keyOf(spec));
  if (changes && project !== undefined) await core.projects.checkOpen(principal);
  return principal;
}

/** What also may be done in a project that is only read: what runs there still can be stopped. */
const STOPS = new Set(["POST /v1/fine_tuning/jobs/{id}/cancel", "POST /v1/fine_tuning/jobs/{id}/pause"]);

/** Workers are the server's own: only tenants are limited. */
const rateKind = (scope: Scope | "key", method: Route["method"]): RateKind | undefined => {
  if (scope === "worker") return undefined;
  if (scope === "infer") return "inferences";
  return method === "get" ? "reads" : "writes";
};

/** What of the limits of inference is left, as OpenAI's headers say it. */
export function rateHeaders(core: Core, key: string): Readonly<Record<string, string>> {
  const [requests, tokens] = [core.rates.kinds.inferences.budget(key), core.rates.tokens.budget(key)];
  return {
    "x-ratelimit-limit-requests": String(requests.limit),
    "x-ratelimit-remaining-requests": String(requests.remaining),
    "x-ratelimit-reset-requests": duration(requests.reset),
    "x-ratelimit-limit-tokens": String(tokens.limit),
    "x-ratelimit-remaining-tokens": String(tokens.remaining),
    "x-ratelimit-reset-tokens": duration(tokens.reset),
  };
}
