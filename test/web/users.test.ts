/** The users' way through the dashboard, in a browser: from a faulty file to a job, what became of jobs, and talking to models. */
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestServer, type TestServer } from "../service/server.ts";
import { axe, type Complaints, inBrowser, overhang, signedIn } from "./browser.ts";
import { builtDashboard } from "./build.ts";
import { fileOf, rowsOf, walk } from "./walk.ts";
import { fill, PretendWorker, type World } from "./world.ts";

const PATIENCE = 600_000;

/** An answer as it comes, each piece less likely than the one before, cut at the longest. */
function streamed(...pieces: readonly string[]) {
  const chunks = pieces.map((content, i) => {
    const logprobs = { content: [{ token: content, logprob: -0.01 - 3 * i, bytes: [], top_logprobs: [] }] };
    return { choices: [{ index: 0, delta: { content }, finish_reason: null, logprobs }] };
  });
  const end = { choices: [{ index: 0, delta: {}, finish_reason: "length" }] };
  const body = `${[...chunks, end].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("")}data: [DONE]\n\n`;
  return { status: 200, headers: { "content-type": "text/event-stream" }, body };
}

inBrowser("the dashboard of users", (browser) => {
  let server: TestServer;
  let world: World;
  let context: BrowserContext;
  let complaints: Complaints;
  let page: Page;
  beforeAll(async () => {
    server = await startTestServer({ dashboard: await builtDashboard() });
    world = await fill(server);
    ({ context, complaints } = await signedIn(browser(), server.url, server.key));
    page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
  }, PATIENCE);
  afterAll(async () => {
    await server?.stop();
  });

  async function open(address: string): Promise<void> {
    await page.goto(server.url + address);
    await page.waitForSelector("#content h1");
    await page.waitForSelector("#content .bars", { state: "detached" });
  }
  const text = async (): Promise<string> => (await page.textContent("#content")) ?? "";

  test(
    "who has no key is told where it is; a wrong one is refused in words, a right one leads on",
    async () => {
      const stranger = await browser().newContext();
      const tab = await stranger.newPage();
      tab.setDefaultTimeout(PATIENCE);
      await tab.goto(`${server.url}/files`);
      await tab.getByRole("heading", { name: "Where is the key?" }).waitFor();
      await tab.getByLabel("Key").fill("sk-booster-wrong");
      await tab.keyboard.press("Enter");
      await tab.getByText("This is no key of this server.").waitFor();
      await tab.getByLabel("Key").fill(server.key);
      await tab.keyboard.press("Enter");
      await tab.getByRole("heading", { name: "Files", exact: true }).waitFor();
      await stranger.close();
    },
    PATIENCE,
  );

  test(
    "by keyboard alone: a file with two faults is mended and trained on, its job held and understood, released by a reviewer, and the model talked to",
    async () => {
      const pretend = new PretendWorker(server);
      const one = await browser().newContext();
      const answers = await walk(one, {
        url: server.url,
        keys: { user: await server.keyFor("user", server.project), reviewer: await server.keyFor("reviewer") },
        rows: rowsOf(24),
        async work(job) {
          await pretend.finish(world.jobs.queued, "released", 0);
          await pretend.finish(job, "held", 5);
        },
        why: "lies within it, so this does not decide",
        flagged: 4,
        beforeAsking: (tab) => tab.route("**/v1/chat/completions", (route) => route.fulfill(streamed("positive"))),
      });
      // The base says it beside what was made of it.
      expect(answers).toEqual(["positive", "positive"]);
      await one.close();
    },
    PATIENCE,
  );

  test(
    "an upload that is cut off goes on with what the server does not have",
    async () => {
      const parts: number[] = [];
      let cut = true;
      const address = /\/v1\/uploads\/[^/]+\/parts$/;
      await page.route(address, async (route) => {
        parts.push(route.request().postDataBuffer()?.length ?? 0);
        if (cut && parts.length > 1) await route.abort();
        else await route.continue();
      });
      // Three parts of 4 MB at most: the second and third are cut.
      const words = " and the host was rude".repeat(600);
      const long = fileOf(
        rowsOf(800).map((row) => row.replace(" : ", ` :${words} `)),
        "long.jsonl",
      );
      await open("/files");
      await page.setInputFiles("input[type=file]", long);
      await page.getByRole("button", { name: "Go on with the upload" }).waitFor();
      cut = false;
      const before = parts.length;
      await page.getByRole("button", { name: "Go on with the upload" }).click();
      await page.getByRole("link", { name: "long.jsonl", exact: true }).waitFor();
      await page.unroute(address);
      const all = Math.ceil(long.buffer.length / (4 * 2 ** 20));
      expect(parts.length - before).toBe(all - 1);
    },
    PATIENCE,
  );

  test(
    "each page is accessible, fits a phone, and says what became of a job",
    async () => {
      const { held, released, rejected, training } = world.jobs;
      const pages: Readonly<Record<string, string>> = {
        "/": "Held for review",
        [`/jobs/${training}`]: "Loss",
        [`/jobs/${held}`]: "What the verdict stands on",
        [`/jobs/${rejected}/events`]: "Validating",
        [`/jobs/${released}/checkpoints`]: "Checkpoints",
        [`/jobs/${released}/config`]: "A new job like this",
        [`/compare?j=${released},${held}`]: "Harmful answers",
        "/files": "Faults",
        [`/files/${world.files.bad}`]: "2 faults",
        "/models": world.model,
      };
      const wrong: string[] = [];
      for (const [address, says] of Object.entries(pages)) {
        await open(address);
        // A report comes after the page that it stands on.
        await expect.poll(text, { message: address }).toContain(says);
        wrong.push(...(await axe(page)));
        await page.setViewportSize({ width: 320, height: 640 });
        if ((await overhang(page)) > 0) wrong.push(`${address} is wider than a phone`);
        await page.setViewportSize({ width: 1280, height: 900 });
      }
      expect(wrong).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "several models are asked side by side; an answer comes piece by piece, and can be stopped",
    async () => {
      const asked: { model: string; seed: number; messages: unknown[] }[] = [];
      let hang = false;
      await page.route("**/v1/chat/completions", async (route) => {
        asked.push(route.request().postDataJSON());
        if (hang) return;
        await route.fulfill(streamed("<b>fine</b>", " thanks"));
      });
      await open(`/playground?m=tiny,${world.model}&seed=7&likely=1`);
      await page.getByLabel("Ask all of them").fill("how are you");
      await page.keyboard.press("Enter");
      await expect
        .poll(() => page.locator(".answer").allInnerTexts())
        .toEqual(["<b>fine</b> thanks", "<b>fine</b> thanks"]);
      expect(asked.map(({ model, seed }) => [model, seed])).toEqual([
        ["tiny", 7],
        [world.model, 7],
      ]);
      expect(await page.locator(".answer .d4").count()).toBe(2);
      expect(await text()).toContain("cut at the longest answer");
      expect(await axe(page)).toEqual([]);
      hang = true;
      await page.getByLabel("Ask all of them").fill("and now");
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Stop" }).click();
      await page.getByText("(stopped)").first().waitFor();
      // What was said before goes along.
      expect(asked.at(-1)!.messages).toHaveLength(3);
      await page.unroute("**/v1/chat/completions");
      expect(complaints.all).toEqual([]);
    },
    PATIENCE,
  );
});
