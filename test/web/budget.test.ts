/** What the dashboard costs a browser: how soon it is painted, whether 5,000 points move with the pointer. Figures are printed; none decides, but that the work was done. By night alone. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { startTestServer, type TestServer } from "../service/server.ts";
import { inBrowserByNight, signedIn } from "./browser.ts";
import { builtDashboard } from "./build.ts";
import { summary, told } from "./figures.ts";
import { fill, PretendWorker, type World } from "./world.ts";

const LOADS = 15;
const POINTS = 5000;
const PATIENCE = 3_600_000;

inBrowserByNight("what the dashboard costs a browser", (browser) => {
  let server: TestServer;
  let world: World;
  beforeAll(async () => {
    server = await startTestServer({ dashboard: await builtDashboard() });
    world = await fill(server);
  }, PATIENCE);
  afterAll(async () => {
    await server?.stop();
  });

  test(
    "the first paint, with nothing kept from before, and when the jobs are there",
    async () => {
      const [first, jobs, computing]: [number[], number[], number[]] = [[], [], []];
      for (let i = 0; i < LOADS; i++) {
        const context = await browser().newContext();
        const headers = { origin: server.url, "x-booster": "1" };
        await context.request.post(`${server.url}/v1/booster/session`, { headers, data: { key: server.key } });
        const page = await context.newPage();
        const inside = await context.newCDPSession(page);
        await inside.send("Performance.enable", { timeDomain: "threadTicks" });
        await page.goto(server.url);
        await page.waitForSelector("#content table");
        jobs.push(await page.evaluate<number>("performance.now()"));
        first.push(
          await page.evaluate<number>("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"),
        );
        const { metrics } = await inside.send("Performance.getMetrics");
        computing.push(1000 * metrics.find(({ name }) => name === "TaskDuration")!.value);
        await context.close();
      }
      expect(first.every(Number.isFinite)).toBe(true);
      told("first paint, ms", summary(first));
      told("the list of jobs is there, ms", summary(jobs));
      told("what the page's thread has computed by then, ms", summary(computing));
    },
    PATIENCE,
  );

  test(
    `${POINTS} points are drawn, and a pointer is followed over them`,
    async () => {
      const { store, project } = server;
      const { epoch } = (await store.jobs.get({ ...SERVER, project }, world.jobs.training))!;
      const pretend = new PretendWorker(server);
      for (let from = 41; from < POINTS; from += 500)
        await pretend.train(world.jobs.training, epoch, from, Math.min(POINTS, from + 499));
      const { context, complaints } = await signedIn(browser(), server.url, server.key);
      const page = await context.newPage();
      await page.goto(`${server.url}/jobs/${world.jobs.training}/curves`);
      await page.getByText("Loss", { exact: true }).waitFor();
      const shown = () => page.locator("figure .value").first().textContent();
      const last = 3 * Math.exp(-POINTS / 30) + 0.2 * Math.sin(POINTS * 7.3) ** 2 + 0.3;
      await expect.poll(async () => Number(await shown())).toBeCloseTo(last, 3);
      told("5,000 points are there, ms after the navigation", { at: await page.evaluate("performance.now()") });
      const frames = await framesWhile(page, async () => {
        const box = (await page.locator(".u-over").first().boundingBox())!;
        for (let i = 0; i < 200; i++)
          await page.mouse.move(box.x + (box.width * (i % 100)) / 100, box.y + box.height / 2);
      });
      expect(frames.length).toBeGreaterThan(50);
      told("frames while the pointer moves over 5,000 points, ms", summary(frames));
      expect(complaints.all).toEqual([]);
      await context.close();
    },
    PATIENCE,
  );
});

/** Milliseconds between frames while something is done. */
async function framesWhile(page: Page, deed: () => Promise<void>): Promise<number[]> {
  await page.evaluate(`window.frames_ = []; window.going_ = true; {
    let before = performance.now();
    const next = (now) => { window.frames_.push(now - before); before = now; if (window.going_) requestAnimationFrame(next); };
    requestAnimationFrame(next);
  }`);
  await deed();
  return page.evaluate<number[]>("(window.going_ = false, window.frames_.slice(1))");
}
