/** A14: every page and state, light and dark, wide and as narrow as a phone, by keyboard, in eight tabs at once, whatever tenants have written. */
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { startTestServer, type TestServer } from "../service/server.ts";
import { axe, type Complaints, focused, inBrowser, nightly, overhang, signedIn, tabTo } from "./browser.ts";
import { builtDashboard } from "./build.ts";
import { fill, PretendWorker, type World } from "./world.ts";

/** A folder for pictures of all pages, for people to look at. */
const pictures = process.env.BOOSTER_PICTURES;
const TABS = 8;
/** Pages that are looked at in the dark every time; by night all are. */
const DARK = ["review", "admin-keys"];
const PHONE = { width: 320, height: 640 };
const PATIENCE = 600_000;

inBrowser("the dashboard in a browser", (browser) => {
  let server: TestServer;
  let world: World;
  let context: BrowserContext;
  let complaints: Complaints;
  let page: Page;
  beforeAll(async () => {
    server = await startTestServer({
      dashboard: await builtDashboard(),
      experiments: join(import.meta.dirname, "../fixtures-0.1"),
    });
    world = await fill(server);
    ({ context, complaints } = await signedIn(browser(), server.url, server.key));
    page = await context.newPage();
    context.setDefaultTimeout(60_000);
  }, PATIENCE);
  afterAll(async () => {
    await server?.stop();
  });

  const ofUsers = (): Readonly<Record<string, string>> => ({
    jobs: "/",
    new: "/new",
    ...Object.fromEntries(
      ["curves", "events", "safety", "checkpoints", "config"].map((view) => [
        `job-${view}`,
        `/jobs/${world.jobs[view === "safety" ? "released" : "training"]}/${view}`,
      ]),
    ),
    compare: `/compare?j=${world.jobs.released},${world.jobs.rejected}`,
    files: "/files",
    file: `/files/${world.files.bad}`,
    models: "/models",
    playground: `/playground?m=tiny,${world.model}`,
    nowhere: "/jobs/ftjob-nothing",
  });
  /** Addresses of pages, each with something on it: of reviewers and administrators, and by night of users too. */
  const addresses = (): Readonly<Record<string, string>> => ({
    ...(nightly ? ofUsers() : {}),
    held: "/held",
    review: `/held/${world.jobs.held}`,
    ...Object.fromEntries(
      ["keys", "projects", "policies", "bases", "workers", "audit", "usage", "experiments", "limits", "webhooks"].map(
        (view) => [`admin-${view}`, `/admin/${view}`],
      ),
    ),
  });

  async function open(address: string, tab = page): Promise<void> {
    // Nothing is drawn in the background, and what is waited for is looked for when something is drawn.
    await tab.bringToFront();
    await tab.goto(server.url + address);
    await tab.waitForSelector("#content h1");
    await tab.waitForSelector("#content .bars", { state: "detached" });
  }

  test(
    "each page is accessible in light and dark, fits a phone, and runs nothing that a tenant wrote",
    async () => {
      const wrong: string[] = [];
      for (const [name, address] of Object.entries(addresses())) {
        const schemes =
          nightly || pictures !== undefined || DARK.includes(name)
            ? (["light", "dark"] as const)
            : (["light"] as const);
        for (const colorScheme of schemes) {
          await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
          if (colorScheme === "light") await open(address);
          wrong.push(...(await axe(page, colorScheme === "light" || nightly ? undefined : ["color-contrast"])));
          if (pictures === undefined) continue;
          await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`), fullPage: true });
        }
        // Twice as large, a window has half as many pixels of the page's own.
        for (const [name, size] of Object.entries({ zoomed: { width: 640, height: 450 }, phone: PHONE })) {
          await page.setViewportSize(size);
          const over = await overhang(page);
          if (over > 0) wrong.push(`${address} is ${over} px too wide: ${name}`);
        }
        if (pictures !== undefined)
          await page.screenshot({ path: join(pictures, `${name}-phone.png`), fullPage: true });
        await page.setViewportSize({ width: 1280, height: 900 });
        const moving: number = await page.evaluate("document.getAnimations().length");
        if (moving > 0) wrong.push(`${address} moves though less motion is asked for`);
      }
      expect(wrong).toEqual([]);
      expect(complaints.all).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "a page says that it loads, that it may not, that something failed and that the server is away, and comes back by itself",
    async () => {
      const wrong: string[] = [];
      const error = (code: string, message: string) => ({ error: { message, type: "x", param: null, code } });
      const states = {
        loading: { see: "#content .bars", text: "Loading" },
        failed: {
          status: 500,
          body: error("internal_error", "something went wrong"),
          see: "[role=alert]",
          text: "req_seen",
        },
        forbidden: {
          status: 403,
          body: error("missing_scope", "no"),
          see: "[role=alert]",
          text: "This key may not do that",
        },
        offline: { see: ".bar", text: "The server does not answer" },
      } as const;
      // A page of nothing has nothing to come back to.
      const asked = nightly ? Object.values({ ...addresses(), nowhere: "/held" }) : ["/held"];
      for (const address of asked) {
        for (const [name, state] of Object.entries(states)) {
          const api = /\/v1\/(?!booster\/(session|stream))/;
          let come = (): void => undefined;
          const late = new Promise<void>((resolve) => {
            come = resolve;
          });
          await page.route(api, async (route) => {
            if (name === "offline") return route.abort();
            if ("status" in state) {
              const headers = { "x-request-id": "req_seen", "content-type": "application/json" };
              return route.fulfill({ status: state.status, headers, body: JSON.stringify(state.body) });
            }
            await late;
            // The page may have given this one up.
            return route.continue().catch(() => undefined);
          });
          await page.goto(server.url + address);
          await expect(page.waitForSelector(state.see), `${address}, ${name}`).resolves.toBeTruthy();
          if (!((await page.textContent("body")) ?? "").includes(state.text))
            wrong.push(`${address} ${name} does not say ${state.text}`);
          wrong.push(...(await axe(page)));
          come();
          await page.unrouteAll({ behavior: "ignoreErrors" });
          // What was away is asked for until it is there.
          if (name !== "offline") continue;
          await expect.poll(() => page.textContent("body")).not.toContain(state.text);
          await page.waitForSelector("#content .bars", { state: "detached" });
        }
      }
      expect(wrong).toEqual([]);
      expect(complaints.all).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "eight tabs are live over one connection, also when the tab that holds it is closed",
    async () => {
      const tabs = [page, ...(await Promise.all(Array.from({ length: TABS - 1 }, () => context.newPage())))];
      for (const tab of tabs) await open("/held", tab);
      const streams = async () => (await server.service.metrics.streams.get()).values[0]?.value;
      await expect.poll(streams).toBe(1);
      const pretend = new PretendWorker(server);
      const hold = async (job: string): Promise<void> => {
        await pretend.finish(job, "held", 5);
      };
      const seen = async (job: string, open: readonly Page[]) => {
        for (const tab of open) {
          await tab.bringToFront();
          await tab.waitForSelector(`a[href="/held/${job}"]`);
        }
      };
      await hold(world.jobs.queued);
      await seen(world.jobs.queued, tabs);
      // The first tab was the first to ask for the line.
      const left = tabs.slice(1);
      await tabs[0]!.goto("about:blank");
      const { id } = await server.client().fineTuning.jobs.create({
        model: "tiny",
        training_file: world.files.good,
        metadata: { name: "while nobody listened" },
      });
      await hold(id);
      await seen(id, left);
      await expect.poll(streams).toBe(1);
      for (const tab of left) await tab.close();
      expect(complaints.all).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "a training goes on as if nobody looked, whatever becomes of the pages that show it",
    async () => {
      const { store, project } = server;
      const job = world.jobs.training;
      const before = (await store.jobs.get({ ...SERVER, project }, job))!;
      const pretend = new PretendWorker(server);
      for (const step of [41, 42, 43]) {
        await Promise.all([pretend.train(job, before.epoch, step, step), open("/")]);
        await page.reload();
      }
      await page.goto("about:blank");
      await pretend.train(job, before.epoch, 44, 60);
      const after = (await store.jobs.get({ ...SERVER, project }, job))!;
      expect(after).toEqual({ ...before, step: 60, beat: before.beat + 4 });
      const { data } = await store.records.events({ ...SERVER, project }, job, { limit: 100 });
      expect(data.map(({ seq }) => seq)).toEqual(Array.from({ length: data.length }, (_, i) => data.length - i));
    },
    PATIENCE,
  );

  test(
    "a model is granted to another project, and taken back",
    async () => {
      await open("/models");
      await page.getByRole("button", { name: `Grant ${world.model}` }).click();
      await page.getByText("No other project may use it.").waitFor();
      await page.getByLabel("Grant it to").selectOption({ index: 1 });
      await page.getByRole("button", { name: "Grant", exact: true }).click();
      const back = page.getByRole("button", { name: "Take back from other" });
      await back.waitFor();
      const granted = async () => (await server.store.models.grants(world.model, { limit: 9 })).data.length;
      expect(await granted()).toBe(1);
      expect(await axe(page)).toEqual([]);
      await back.click();
      await page.getByText("No other project may use it.").waitFor();
      expect(await granted()).toBe(0);
      await page.getByRole("button", { name: "Done" }).click();
      expect(complaints.all).toEqual([]);
    },
    PATIENCE,
  );

  test.runIf(nightly)(
    "a held job is read and released by keyboard alone, and a look at texts is written down",
    async () => {
      await open("/held");
      await tabTo(page, "held-too");
      await page.keyboard.press("Enter");
      await page.waitForSelector("textarea");
      expect(await focused(page)).toBe("H1");
      const noted = async () =>
        (await server.store.audit.list(SERVER, { limit: 100, types: ["texts.viewed"] })).data.map(
          ({ data }) => data.id,
        );
      expect(await noted()).toEqual([]);
      await tabTo(page, "Show the texts of 4 rows");
      await page.keyboard.press("Enter");
      await page.waitForSelector("ol.texts pre");
      expect(await noted()).toEqual([world.jobs.heldToo]);
      expect(await page.locator("ol.texts pre").first().textContent()).toContain("onerror=window.canary()");
      expect(await axe(page)).toEqual([]);
      // Without a reason nothing happens but that the reason is asked for.
      await tabTo(page, "Release");
      await page.keyboard.press("Enter");
      expect(await focused(page)).toBe("TEXTAREA");
      await page.keyboard.type("The interval is wide, and the five answers are harmless.");
      await tabTo(page, "Release");
      await page.keyboard.press("Enter");
      await page.waitForSelector("text=released it");
      const job = await server.client().fineTuning.jobs.retrieve(world.jobs.heldToo);
      expect(job).toMatchObject({ status: "succeeded", fine_tuned_model: expect.stringContaining("held-too") });
      expect(complaints.all).toEqual([]);
    },
    PATIENCE,
  );
});
