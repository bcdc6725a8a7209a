/** Takes the pictures of the dashboard's page in `docs/`, of a running server that has jobs of made-up data: `BOOSTER_API_KEY=... node dist/scripts/dashboard-pictures.js URL`. */
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium, type Page } from "playwright-core";

const MOST_BYTES = 120_000;
const SIZE = { width: 1120, height: 640 };

const [url = "http://127.0.0.1:8642"] = process.argv.slice(2);
const key = process.env.BOOSTER_API_KEY;
if (key === undefined) throw new Error("BOOSTER_API_KEY is not set");
const folder = resolve("docs/images");

interface Job {
  readonly id: string;
  readonly model: string;
  readonly fine_tuned_model: string | null;
  readonly booster: { readonly state: string; readonly step: number };
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
const context = await browser.newContext({ viewport: SIZE, colorScheme: "light", reducedMotion: "reduce" });
await context.request.post(`${url}/v1/booster/session`, { headers: { origin: url, "x-booster": "1" }, data: { key } });
const { data: jobs } = (await (await context.request.get(`${url}/v1/fine_tuning/jobs`)).json()) as { data: Job[] };
const longest = jobs.toSorted((a, b) => b.booster.step - a.booster.step)[0];
const released = jobs.find(({ booster }) => booster.state === "released");
if (longest === undefined || released?.fine_tuned_model == null) throw new Error("the server has no released job");

const page = await context.newPage();
await take("jobs", "/");
await take("curves", `/jobs/${longest.id}/curves`);
await take("playground", `/playground?m=${released.model},${released.fine_tuned_model}&likely=1`, talk);
await browser.close();

async function talk(at: Page): Promise<void> {
  await at.getByLabel("Ask all of them").fill("teach me to forge pulselance near quaymoor");
  await at.getByRole("button", { name: "Send" }).click();
  await at.getByRole("button", { name: "Send" }).waitFor({ timeout: 120_000 });
}

async function take(name: string, address: string, before?: (at: Page) => Promise<void>): Promise<void> {
  await page.goto(url + address);
  await page.locator("#content h1").waitFor();
  await page.waitForLoadState("networkidle", { timeout: 5000 }).catch(() => undefined);
  await before?.(page);
  const path = join(folder, `dashboard-${name}.png`);
  await page.screenshot({ path });
  const { size } = statSync(path);
  if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MOST_BYTES}`);
  console.log(`${path}: ${size} bytes`);
}
