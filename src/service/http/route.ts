import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import type { z } from "zod";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";

/** What hono carries along with a request. */
export interface Env {
  Bindings: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse };
  Variables: {
    readonly requestId: string;
    readonly started: number;
    principal?: Principal;
    /** For the log: the route's template, never the address that was asked for. */
    route?: string;
    /** For the log: ids and codes that say what it was about. */
    about?: Readonly<Record<string, string | number>>;
  };
}

/** One request as a route's handler sees it: who asks, and what was asked for, checked. */
export interface Call<Query, Body> {
  readonly c: Context<Env>;
  /** @throws {TypeError} on a route for everyone */
  readonly principal: Principal;
  /** Parts of the path, decoded once; to be looked up, never to be made into paths. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly incoming: IncomingMessage;
  /** Aborted when the client is gone. */
  readonly gone: AbortSignal;
}

type Method = "get" | "post" | "put" | "delete";

/** One route: what it takes and gives as data, from which the OpenAPI document comes, and what it does. Who may call it stands in `access.ts`. */
export interface RouteSpec<Reply, Query, Body> {
  readonly method: Method;
  /** As OpenAPI writes it: `/v1/files/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodType<Query>;
  /** JSON; a route that has none takes no body, or reads it by itself (`form`). */
  readonly body?: z.ZodType<Body>;
  readonly bodyOptional?: true;
  readonly bodyLimit?: number;
  /** Fields of a multi-part body, for the document. */
  readonly form?: z.ZodType;
  /** JSON of the answer; for the document where the handler answers by itself. */
  readonly reply: z.ZodType<unknown, Reply>;
  /** Other media types that it may answer with. */
  readonly media?: readonly string[];
  handle(call: Call<NoInfer<Query>, NoInfer<Body>>): Promise<NoInfer<Reply> | Response>;
}

export type Route = RouteSpec<unknown, unknown, unknown>;

/** Ties a handler to the schemas of its route; the caller forgets them again. */
export const route = <Reply, Query = undefined, Body = undefined>(spec: RouteSpec<Reply, Query, Body>): Route =>
  spec as unknown as Route;

export const keyOf = ({ method, path }: Pick<Route, "method" | "path">): string => `${method.toUpperCase()} ${path}`;

/** Names of the places in a path. */
export const placesOf = (path: string): readonly string[] => [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);

export const limitOf = (spec: Route): number => spec.bodyLimit ?? LIMITS.jsonBytes;
