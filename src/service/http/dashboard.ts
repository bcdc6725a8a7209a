import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { packagePath } from "../../stages/package-root.ts";
import { ServiceError } from "../domain/service-error.ts";
import { VIEWS } from "../domain/views.ts";
import type { Env } from "./route.ts";

/** Where `npm run build` puts the application. */
export const BUILT = packagePath("dist", "web");

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Nothing from elsewhere, nothing inline, in no frame: what a tenant's text could smuggle in does not run. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Names of assets hold the hash of their content. */
const FOREVER = "public, max-age=31536000, immutable";

interface Page {
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Answers the addresses of the dashboard's views and assets from `folder`, which is read once: what lies there afterwards is not served.
 * Other addresses stay unknown, so that a mistyped route of the API is never answered with a page.
 *
 * @returns what a browser that was led to an unknown address is shown, with the status 404; nothing to whoever does not ask for a page
 */
export function serveDashboard(app: OpenAPIHono<Env>, folder: string): (c: Context<Env>) => Response | undefined {
  const pages = pagesIn(folder);
  for (const address of [...Object.values(VIEWS), "/assets/*", "/icon.svg"]) {
    app.get(address, (c) => {
      c.set("route", "dashboard");
      const isFile = address.startsWith("/assets/") || address === "/icon.svg";
      const page = pages.get(isFile ? c.req.path : "/index.html");
      if (page !== undefined) return reply(c, page);
      throw new ServiceError("unknown_url", "there is nothing at this address", {
        ...(pages.size === 0 ? { hint: "The dashboard was not built: npm run build" } : {}),
      });
    });
  }
  return (c) => {
    const page = pages.get("/index.html");
    const asksForPage = c.req.method === "GET" && (c.req.header("accept") ?? "").includes("text/html");
    return asksForPage && page !== undefined && !c.req.path.startsWith("/v1/") ? reply(c, page, 404) : undefined;
  };
}

function reply(c: Context<Env>, { plain, packed, headers }: Page, status = 200): Response {
  if (status === 200 && c.req.header("if-none-match") === headers.etag)
    return new Response(null, { status: 304, headers });
  const zipped = /\bgzip\b/.test(c.req.header("accept-encoding") ?? "");
  return new Response(zipped ? packed : plain, {
    status,
    headers: { ...headers, ...(zipped ? { "content-encoding": "gzip" } : {}) },
  });
}

function pagesIn(folder: string): ReadonlyMap<string, Page> {
  const pages = new Map<string, Page>();
  if (!existsSync(folder)) return pages;
  for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const type = TYPES[extname(path)];
    if (type === undefined) continue;
    const plain = new Uint8Array(readFileSync(join(folder, path)));
    const address = `/${path.replaceAll("\\", "/")}`;
    pages.set(address, {
      plain,
      packed: new Uint8Array(gzipSync(plain)),
      headers: {
        ...HEADERS,
        "content-type": type,
        "cache-control": address.startsWith("/assets/") ? FOREVER : "no-cache",
        etag: `"${createHash("sha256").update(plain).digest("base64url").slice(0, 27)}"`,
        vary: "accept-encoding",
      },
    });
  }
  return pages;
}
