import type { IncomingMessage } from "node:http";
import { LIMITS } from "../domain/limits.ts";
import { ServiceError } from "../domain/service-error.ts";

const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/** Behind other names than loopback's there is TLS, and the browser then keeps the cookie from everything else. */
function cookieName({ headers: { host = "" } }: IncomingMessage): "booster-session" | "__Host-booster-session" {
  return LOOPBACK.includes(host.replace(/:\d+$/, "").toLowerCase()) ? "booster-session" : "__Host-booster-session";
}

/** The secret of the session that came with a request, if any. */
export function sessionIn(incoming: IncomingMessage): string | undefined {
  const name = cookieName(incoming);
  for (const pair of (incoming.headers.cookie ?? "").split(";")) {
    const [, key, value] = /^\s*([^=\s]+)=([0-9A-Za-z]{43})\s*$/.exec(pair) ?? [];
    if (key === name) return value;
  }
  return undefined;
}

/** The header that gives a browser its session, or takes it away (`undefined`). */
export function sessionCookie(incoming: IncomingMessage, secret: string | undefined): string {
  const name = cookieName(incoming);
  const seconds = secret === undefined ? 0 : LIMITS.sessionSeconds;
  const secure = name.startsWith("__Host-") ? "; Secure" : "";
  return `${name}=${secret ?? ""}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure}`;
}

/**
 * A browser sends the cookie whoever wrote the page: what changes something must come from a page of this server, and carry a header that no
 * page of another origin may send unasked.
 *
 * @throws {ServiceError} `origin_not_allowed`
 */
export function checkOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers;
  if (headers["x-booster"] === "1" && origin !== undefined && isSame(origin, host ?? "")) return;
  throw new ServiceError("origin_not_allowed", "this did not come from a page of this server", {
    expected: "the headers Origin of this server and x-booster: 1",
  });
}

/** Another port is another origin, though browsers send it the same cookies. */
function isSame(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: there } = new URL(origin);
  const here = `${protocol}//${host}`;
  return /^https?:$/.test(protocol) && URL.canParse(here) && new URL(here).host === there;
}
