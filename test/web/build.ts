/** The dashboard, built for tests: once for all files that ask, and anew when one of its sources is newer. */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BrowserContext } from "playwright-core";
import { build } from "vite";

const root = resolve(import.meta.dirname, "../..");
const folder = join(root, "node_modules/.cache/booster-web");

/** A folder with the built application. */
export async function builtDashboard(): Promise<string> {
  const page = join(folder, "index.html");
  const newest = Math.max(...["web", "src/service/domain"].flatMap((part) => timesIn(join(root, part))));
  if (existsSync(page) && statSync(page).mtimeMs > newest) return folder;
  mkdirSync(folder, { recursive: true });
  await build({
    configFile: join(root, "web/vite.config.ts"),
    logLevel: "warn",
    build: { outDir: folder, emptyOutDir: true },
  });
  return folder;
}

/** A browser's pages are the application of these sources, whatever the server that it asks was built with. */
export async function withBuiltPages(context: BrowserContext): Promise<void> {
  const built = await builtDashboard();
  await context.route("**/*", (route) => {
    const path = new URL(route.request().url()).pathname;
    if (path.startsWith("/assets/")) return route.fulfill({ path: join(built, path) });
    return route.request().resourceType() === "document"
      ? route.fulfill({ path: join(built, "index.html") })
      : route.continue();
  });
}

const timesIn = (path: string): number[] =>
  readdirSync(path, { recursive: true, encoding: "utf8" }).map((file) => statSync(join(path, file)).mtimeMs);
