import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { newId } from "../domain/ids.ts";
import { LIMITS } from "../domain/limits.ts";
import { SERVICE_CODES, ServiceError } from "../domain/service-error.ts";
import { ACCESS } from "./access.ts";
import type { Core } from "./core.ts";
import { BUILT, serveDashboard } from "./dashboard.ts";
import { document, documentOf } from "./document.ts";
import { asServiceError, checked, errorResponse } from "./errors.ts";
import { admit, rateHeaders } from "./gate.ts";
import { queryOf, readJson, refuseUnstorable, strict } from "./json.ts";
import { type Env, keyOf, limitOf, placesOf, type Route, route } from "./route.ts";

const NO_QUERY = strict({});

/** Ids and names longer than any that there is are not looked up. */
const LONGEST_PLACE = 512;

/**
 * The server's program without its socket: every route behind the gate, every answer with its headers, every error in one form.
 *
 * @param dashboard folder of the built application for people
 * @throws {TypeError} a route has no row in the matrix of who may call it
 */
export function createApp(core: Core, others: readonly Route[], dashboard = BUILT): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>();
  let made: ReturnType<typeof documentOf> | undefined;
  const routes = [
    ...others,
    route({
      method: "get",
      path: "/openapi.json",
      summary: "This document",
      reply: z.record(z.string(), z.unknown()),
      handle: async () => (made ??= documentOf(app, core.version)),
    }),
  ];
  app.use("*", async (c, next) => {
    c.set("requestId", newId("request"));
    c.set("started", performance.now());
    core.metrics.inFlight.inc();
    try {
      const wrongHost = hostFault(core, c);
      if (wrongHost === undefined) await next();
      else c.res = refuse(core, c, wrongHost);
    } finally {
      core.metrics.inFlight.dec();
    }
    finish(core, c);
    // The body of an answer that is asked for its headers alone is never read: what would fill it must hear of that.
    if (c.req.method === "HEAD") await c.res.body?.cancel();
  });
  for (const spec of routes) {
    if (ACCESS[keyOf(spec)] === undefined) throw new TypeError(`${keyOf(spec)} has no row in access.ts`);
    document(app.openAPIRegistry, spec);
    app.on(spec.method, spec.path.replaceAll(/\{(\w+)\}/g, ":$1"), (c) =>
      answer(core, spec, c).catch((error: unknown) => {
        // Hono's own handler hears of instances of Error alone.
        throw asServiceError(error);
      }),
    );
  }
  const methods = new Map<string, string[]>();
  for (const { method, path } of routes) methods.set(path, [...(methods.get(path) ?? []), method.toUpperCase()]);
  for (const [path, allowed] of methods) {
    app.all(path.replaceAll(/\{(\w+)\}/g, ":$1"), (c) => {
      const told = new ServiceError("method_not_allowed", `${c.req.method.slice(0, 20)} is not done here`, {
        expected: allowed.join(", "),
      });
      const response = refuse(core, c, told);
      response.headers.set("allow", allowed.join(", "));
      return response;
    });
  }
  const pageOfNothing = serveDashboard(app, dashboard);
  app.notFound((c) => {
    const told = new ServiceError("unknown_url", "there is nothing at this address");
    return pageOfNothing(c) ?? refuse(core, c, told);
  });
  app.onError((error, c) => refuse(core, c, error));
  return app;
}

async function answer(core: Core, spec: Route, c: Context<Env>): Promise<Response> {
  c.set("route", spec.path);
  const { incoming, outgoing } = c.env;
  const principal = await admit(core, spec, incoming);
  if (principal !== undefined) c.set("principal", principal);
  const params: Record<string, string> = {};
  for (const name of placesOf(spec.path)) {
    const value = c.req.param(name) ?? "";
    if (value.length > LONGEST_PLACE || value.includes("\0"))
      throw new ServiceError("not_found", "there is no such thing");
    params[name] = value;
  }
  const asked = queryOf(new URL(c.req.url).searchParams);
  refuseUnstorable(asked);
  const query = checked(spec.query ?? NO_QUERY, asked);
  let body: unknown;
  if (spec.body !== undefined) {
    const sent = await readJson(incoming, limitOf(spec));
    body = sent === undefined && spec.bodyOptional === true ? undefined : checked(spec.body, sent ?? {});
  }
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  const reply = await spec.handle({
    c,
    get principal() {
      if (principal === undefined) throw new TypeError(`${keyOf(spec)} is for everyone`);
      return principal;
    },
    params,
    query,
    body,
    incoming,
    gone: gone.signal,
  });
  if (reply instanceof Response) return reply;
  return c.json(reply as object);
}

function hostFault({ hosts }: Core, c: Context<Env>): ServiceError | undefined {
  const host = c.req.header("host") ?? "";
  const name = host.replace(/:\d+$/, "").toLowerCase();
  if (hosts.includes(name)) return undefined;
  return new ServiceError("host_not_allowed", "this server does not answer under that name", {
    hint: "Start it with --public-url where it has another name",
  });
}

function refuse(core: Core, c: Context<Env>, error: unknown): Response {
  const told = asServiceError(error);
  c.set("about", { ...c.get("about"), code: told.code });
  if (SERVICE_CODES[told.code][0] >= 500) {
    core.log.error(
      { request_id: c.get("requestId"), route: c.get("route"), err: told.cause ?? told },
      "a request failed",
    );
  }
  const response = errorResponse(told);
  // What is left of a body that is too long or too slow is not waited for.
  if (!c.env.incoming.complete) response.headers.set("connection", "close");
  return response;
}

/** Headers that every answer has, its line in the log and its place in the metrics. */
function finish(core: Core, c: Context<Env>): void {
  const { res } = c;
  const principal = c.get("principal");
  const ms = performance.now() - c.get("started");
  res.headers.set("x-request-id", c.get("requestId"));
  res.headers.set("openai-version", "2020-10-01");
  res.headers.set("openai-organization", core.organisation);
  res.headers.set("openai-processing-ms", String(Math.round(ms)));
  res.headers.set("x-content-type-options", "nosniff");
  const route = c.get("route") ?? "none";
  if (principal !== undefined && ACCESS[`${c.req.method} ${route}`]?.scope === "infer") {
    for (const [name, value] of Object.entries(rateHeaders(core, principal.key))) res.headers.set(name, value);
  }
  core.metrics.requests.observe({ route, status: `${Math.floor(res.status / 100)}xx` }, ms / 1000);
  const client = c.req.header("x-client-request-id");
  // Workers ask every second: that is no news.
  core.log[route.startsWith("/internal/") && res.status < 400 ? "debug" : "info"](
    {
      request_id: c.get("requestId"),
      ...(client !== undefined && client.length <= LIMITS.clientRequestIdLength && /^[\x20-\x7e]*$/.test(client)
        ? { client_request_id: client }
        : {}),
      ...traceOf(c.req.header("traceparent")),
      ...(principal === undefined ? {} : { key_id: principal.key, project: principal.project }),
      method: c.req.method,
      route,
      status: res.status,
      ms: Math.round(ms),
      ...c.get("about"),
    },
    "request",
  );
}

function traceOf(parent: string | undefined): { readonly trace_id?: string } {
  const trace = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}$/.exec(parent ?? "")?.[1];
  return trace === undefined ? {} : { trace_id: trace };
}
