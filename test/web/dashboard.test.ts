/** The built application: its size, and how the server gives it out. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { OpenAPIHono } from "@hono/zod-openapi";
import { beforeAll, describe, expect, test } from "vitest";
import { VIEWS } from "../../src/service/domain/views.ts";
import { serveDashboard } from "../../src/service/http/dashboard.ts";
import type { Env } from "../../src/service/http/route.ts";
import { builtDashboard } from "./build.ts";

const BUDGET_KB = 120;

let folder: string;
let app: OpenAPIHono<Env>;
beforeAll(async () => {
  folder = await builtDashboard();
  app = new OpenAPIHono<Env>();
  const pageOfNothing = serveDashboard(app, folder);
  app.notFound((c) => pageOfNothing(c) ?? c.text("", 404));
});

const assets = (): string[] => readdirSync(join(folder, "assets"));
const get = (path: string, headers: Record<string, string> = {}) => app.request(path, { headers });

describe("the application", () => {
  test(`is at most ${BUDGET_KB} kB in all, packed by gzip`, () => {
    const files = readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true }).filter((file) =>
      file.isFile(),
    );
    const packed = files.reduce(
      (sum, file) => sum + gzipSync(readFileSync(join(file.parentPath, file.name))).length,
      0,
    );
    expect(packed / 1000).toBeLessThanOrEqual(BUDGET_KB);
  });

  test("names no other place on the network", () => {
    const named = ["index.html", ...assets().map((file) => `assets/${file}`)]
      .flatMap((file) => readFileSync(join(folder, file), "utf8").match(/\b(https?|wss?):\/\/[\w.-]+/g) ?? [])
      // Names of XML's vocabularies, and pages on errors of Svelte's, which nobody asks for.
      .filter((address) => !["http://www.w3.org", "https://svelte.dev"].includes(address));
    expect(named).toEqual([]);
  });
});

describe("the server", () => {
  test("answers each view's address with the page, and under a policy that lets nothing else in", async () => {
    for (const address of Object.values(VIEWS)) {
      const answer = await get(address.replaceAll(/:\w+/g, "some%20thing"));
      expect(answer.status, address).toBe(200);
      expect(await answer.text()).toContain('<div id="app">');
      expect(answer.headers.get("cache-control")).toBe("no-cache");
      const policy = answer.headers.get("content-security-policy");
      for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"])
        expect(policy).toContain(part);
    }
  });

  test.each([
    "/v1/nothing",
    "/jobs",
    "/jobs/a/b/c",
    "/assets/nothing.js",
    "/assets/../index.html",
    "/index.html",
    "/newer",
  ])("has no page at %s", async (path) => {
    app.onError(() => new Response("", { status: 404 }));
    const answer = await get(path);
    expect([answer.status, await answer.text()]).toEqual([404, ""]);
  });

  test("shows people who come to an address of nothing that nothing is there, and programs no page", async () => {
    const browser = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
    const answer = await get("/jobs", browser);
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('<div id="app">')]);
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await (await get("/v1/nothing", browser)).text()).toBe("");
    expect(await (await get("/jobs", { accept: "*/*" })).text()).toBe("");
  });

  test("lets browsers keep assets for ever, and asks them to ask for the page", async () => {
    for (const file of assets())
      expect((await get(`/assets/${file}`)).headers.get("cache-control")).toContain("immutable");
    const etag = (await get("/")).headers.get("etag") ?? "";
    expect((await get("/", { "if-none-match": etag })).status).toBe(304);
  });

  test("packs what it sends", async () => {
    const [script] = assets().filter((file) => file.startsWith("base-") && file.endsWith(".js"));
    const answer = await get(`/assets/${script}`, { "accept-encoding": "gzip, br" });
    expect(answer.headers.get("content-encoding")).toBe("gzip");
    const sent = (await answer.arrayBuffer()).byteLength;
    expect(sent).toBeLessThan(readFileSync(join(folder, `assets/${script}`)).length / 2);
  });
});
