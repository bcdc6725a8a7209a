import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { decodeStrictJson } from "../../formats/strict-json.ts";
import { LIMITS } from "../domain/limits.ts";
import { ServiceError } from "../domain/service-error.ts";

/** An object that takes no other fields; whoever sends one is told which there are (`invalidRequest` reads it). */
export const strict = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? `known are ${Object.keys(shape).join(", ")}` : undefined),
  });

/**
 * The chunks of a request's body, at most `limit` bytes of them, each within the time that a sender may be silent.
 *
 * @throws {ServiceError} `body_too_large`, `request_timeout`
 */
export async function* bodyOf(incoming: IncomingMessage, limit: number): AsyncGenerator<Buffer> {
  const told = Number(incoming.headers["content-length"] ?? 0);
  if (told > limit) throw tooLarge(limit);
  const chunks = incoming.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  let bytes = 0;
  for (;;) {
    const { done, value } = await soon(chunks.next());
    if (done === true) return;
    bytes += value.length;
    if (bytes > limit) throw tooLarge(limit);
    yield value;
  }
}

/** What comes within the time that a sender may be silent. The connection stays, so that the sender can be told. */
async function soon<T>(next: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timeout("the body stopped coming")), LIMITS.idleSeconds * 1000);
  });
  try {
    return await Promise.race([next, silence]);
  } catch (error) {
    throw error instanceof ServiceError ? error : timeout("the body was cut off", error);
  } finally {
    clearTimeout(timer);
  }
}

const timeout = (problem: string, cause?: unknown): ServiceError =>
  new ServiceError("request_timeout", problem, { expected: `a byte within ${LIMITS.idleSeconds} s`, cause });

const tooLarge = (limit: number): ServiceError =>
  new ServiceError("body_too_large", "the body is too large", { expected: `at most ${limit} bytes` });

/**
 * The JSON of a request's body; `undefined` where it has none.
 *
 * @throws {ServiceError} `unsupported_media_type`, `invalid_json`, and what `bodyOf` throws
 */
export async function readJson(incoming: IncomingMessage, limit: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of bodyOf(incoming, limit)) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (bytes.length === 0) return undefined;
  const type = incoming.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() ?? "none";
  if (type !== "application/json" && !type.endsWith("+json")) {
    throw new ServiceError("unsupported_media_type", "the body is no JSON", { expected: "application/json" });
  }
  const value = decodeStrictJson(bytes, "the body", { depth: LIMITS.jsonDepth, values: LIMITS.jsonValues });
  refuseUnstorable(value);
  return value;
}

/** No database keeps U+0000 or half of a surrogate pair. @throws {ServiceError} `invalid_value` */
export function refuseUnstorable(value: unknown): void {
  if (typeof value === "string") {
    if (value.includes("\0") || /\p{Surrogate}/u.test(value)) {
      throw new ServiceError("invalid_value", "a text holds U+0000, or half of a surrogate pair");
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      refuseUnstorable(key);
      refuseUnstorable(item);
    }
  }
}

/**
 * A query's values: `metadata[k]=v` becomes an object, `metadata=null` null, `job=a&job=b` a list.
 *
 * @example
 * queryOf(new URLSearchParams("limit=3&metadata%5Ba%5D=b")); // { limit: "3", metadata: { a: "b" } }
 */
export function queryOf(search: URLSearchParams): Record<string, unknown> {
  const found: Record<string, unknown> = Object.create(null);
  for (const [name, value] of search) {
    const [, outer, inner] = /^([^[\]]+)\[([^[\]]*)\]$/.exec(name) ?? [];
    if (outer !== undefined && inner !== undefined && inner !== "") {
      const object = found[outer] ?? Object.create(null);
      found[outer] = object;
      if (typeof object !== "object" || object === null || Array.isArray(object)) throw repeated(outer);
      (object as Record<string, unknown>)[inner] = value;
      continue;
    }
    const key = inner === "" ? (outer as string) : name;
    const before = found[key];
    if (before === undefined) found[key] = value === "null" ? null : value;
    else if (Array.isArray(before)) before.push(value);
    else if (typeof before === "string") found[key] = [before, value];
    else throw repeated(key);
  }
  return { ...found };
}

const repeated = (name: string): ServiceError =>
  new ServiceError("invalid_value", `the query gives ${name.slice(0, 100)} in two forms`, {
    param: name.slice(0, 100),
  });

/** A whole number in a query. */
export const queryNumber = (least: number, most: number, byDefault: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(least).max(most))
    .default(byDefault);
