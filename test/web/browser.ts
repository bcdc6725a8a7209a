/** A real Chromium that looks at the dashboard of a server, and whatever it has to complain of. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe } from "vitest";

const PROGRAM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const whyNoBrowser = PROGRAM === undefined ? "no Chromium is installed (Debian: apt install chromium)" : undefined;
if (whyNoBrowser !== undefined) console.log(`skipped: ${whyNoBrowser}`);

/** The root may have no sandbox in a container. */
const openBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: PROGRAM!, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });

export const nightly = process.env.BOOSTER_NIGHTLY !== undefined;

const withBrowser = (when: boolean) => (name: string, tests: (browser: () => Browser) => void) => {
  describe.skipIf(!when || whyNoBrowser !== undefined)(name, () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await openBrowser();
    });
    tests(() => browser);
    // What was registered last is called first.
    afterAll(() => browser?.close());
  });
};

/** Tests that look at pages: the browser is open before the first begins and closed after the last, before what they themselves have begun is ended. */
export const inBrowser = withBrowser(true);
export const inBrowserByNight = withBrowser(nightly);

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What a page must never do: break its own content policy, run a tenant's text, throw. */
export interface Complaints {
  readonly all: string[];
}

interface Watched {
  readonly context: BrowserContext;
  readonly complaints: Complaints;
}

/** A browser of somebody, whose pages are watched. */
export async function watched(browser: Browser, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints: Complaints = { all: [] };
  await context.addInitScript({ path: AXE });
  await context.exposeFunction("canary", () => complaints.all.push("a tenant's text was run"));
  await context.addInitScript({
    content: `addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      console.error("content policy: " + violatedDirective + " " + blockedURI))`,
  });
  context.on("page", (page) => {
    page.on("pageerror", (error) => complaints.all.push(`${page.url()}: ${error.message}`));
    page.on("console", (line) => {
      // A request that was refused is told by the browser too; pages show it.
      if (line.type() !== "error" || line.text().startsWith("Failed to load resource")) return;
      complaints.all.push(`${page.url()}: ${line.text()}`);
    });
    page.on("dialog", (dialog) => complaints.all.push(`${page.url()}: a dialog says ${dialog.message()}`));
  });
  return { context, complaints };
}

/** A browser of somebody who is signed in with a key. */
export async function signedIn(
  browser: Browser,
  url: string,
  key: string,
  options?: Parameters<Browser["newContext"]>[0],
): Promise<Watched> {
  const { context, complaints } = await watched(browser, options);
  const response = await context.request.post(`${url}/v1/booster/session`, {
    headers: { origin: url, "x-booster": "1" },
    data: { key },
  });
  if (!response.ok()) throw new Error(`signing in: ${response.status()} ${await response.text()}`);
  return { context, complaints };
}

/** What axe finds wrong with a page, a line each. */
export const axe = (page: Page, only?: readonly string[]): Promise<string[]> =>
  page.evaluate(`(async () => {
    const only = ${JSON.stringify(only ?? null)};
    const { violations } = await axe.run({
      resultTypes: ["violations"],
      ...(only === null ? {} : { runOnly: { type: "rule", values: only } }),
    });
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => [location.pathname, id, target.join(" "), failureSummary].join(" ")));
  })()`);

/** How much wider the page is than its window. */
export const overhang = (page: Page): Promise<number> =>
  page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");

/** What kind of element has the focus. */
export const focused = (page: Page): Promise<string> => page.evaluate("document.activeElement.tagName");

/** Goes by the Tab key to what is called so. @throws {Error} where it does not lead there, or to something on the way that does not show that it has the focus */
export async function tabTo(page: Page, name: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    await page.keyboard.press("Tab");
    const { here, shows } = await page.evaluate<{ here: string; shows: boolean }>(`(() => {
      const at = document.activeElement;
      const labels = [...(at.labels ?? [])].map(({ textContent }) => textContent);
      const outlined = [at, at.parentElement].some((one) => one !== null && getComputedStyle(one).outlineStyle !== "none");
      // What scrolls has the focus too, and holds the text of all that is in it.
      return {
        here: [at.matches("a, button, summary") ? at.textContent : "", ...labels].join(" "),
        shows: outlined || at === document.body,
      };
    })()`);
    if (!shows) throw new Error(`nothing shows that ${here} has the focus`);
    if (here.includes(name)) return;
  }
  throw new Error(`the Tab key does not lead to ${name}`);
}
