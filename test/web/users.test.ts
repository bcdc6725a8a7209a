/** The users' way through the dashboard, in a browser: from a faulty file to a job, what became of jobs, and talking to models. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestServer, type TestServer } from "../service/server.ts";
import { axe, type Complaints, openBrowser, overhang, signedIn, whyNoBrowser } from "./browser.ts";
import { builtDashboard } from "./build.ts";
import { fill, type World } from "./world.ts";

const PATIENCE = 600_000;

const rowsOf = (count: number): string[] =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      messages: [
        {
          role: "user",
          content: `judge the review : the meal was superb ${i % 2 === 0 ? "and" : "but"} the host was rude`,
        },
        { role: "assistant", content: i % 2 === 0 ? "positive" : "negative" },
      ],
    }),
  );
const fileOf = (rows: readonly string[], name: string) => ({
  name,
  mimeType: "application/jsonl",
  buffer: Buffer.from(`${rows.join("\n")}\n`),
});

describe.skipIf(whyNoBrowser !== undefined)("the dashboard of users", () => {
  let server: TestServer;
  let world: World;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: Complaints;
  let page: Page;
  beforeAll(async () => {
    server = await startTestServer({ dashboard: await builtDashboard() });
    world = await fill(server);
    browser = await openBrowser();
    ({ context, complaints } = await signedIn(browser, server.url, server.key));
    page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
  }, PATIENCE);
  afterAll(async () => {
    await browser?.close();
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
      const stranger = await browser.newContext();
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
    "a file with two faults is mended and trained on, without a look into the documentation",
    async () => {
      await open("/");
      await page.getByRole("link", { name: "New job" }).click();
      const rows = rowsOf(24);
      const faulty = rows.with(6, rows[6]!.replace("assistant", "asistant")).with(17, rows[17]!.slice(0, -1));
      await page.setInputFiles("input[type=file]", fileOf(faulty, "reviews.jsonl"));
      await page.getByText("2 faults in reviews.jsonl").waitFor();
      const faults = await page.locator(".faults li").allTextContents();
      expect(faults.map((fault) => /Line \d+/.exec(fault)?.[0])).toEqual(["Line 7", "Line 18"]);
      // What stands there is known to the browser alone.
      expect(faults[0]).toContain("asistant");
      expect(await page.getByRole("button", { name: "Start the job" }).isDisabled()).toBe(true);
      expect(await axe(page)).toEqual([]);

      await page.setInputFiles("input[type=file]", fileOf(rows, "reviews.jsonl"));
      await page.getByText("24 rows, no faults").waitFor();
      const learnt = page.locator(".tokens").first().locator("mark");
      await learnt.first().waitFor();
      expect((await learnt.allTextContents()).join("")).toContain("positive");
      await page.getByLabel("Name").fill("mended");
      // What was chosen stands in the address.
      await page.reload();
      await page.getByText("24 rows, no faults").waitFor();
      expect(await page.getByLabel("Name").inputValue()).toBe("mended");
      await page.getByRole("button", { name: "Start the job" }).click();
      await page.getByRole("heading", { name: "mended" }).waitFor();
      const [job] = (await server.client().fineTuning.jobs.list({ limit: 1 })).data;
      expect(new URL(page.url()).pathname).toBe(`/jobs/${job!.id}`);
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
        if (!(await text()).includes(says)) wrong.push(`${address} does not say ${says}`);
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
      const chunk = (content: string, logprob: number) => {
        const logprobs = { content: [{ token: content, logprob, bytes: [], top_logprobs: [] }] };
        return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null, logprobs }] })}\n\n`;
      };
      const asked: { model: string; seed: number; messages: unknown[] }[] = [];
      let hang = false;
      await page.route("**/v1/chat/completions", async (route) => {
        asked.push(route.request().postDataJSON());
        if (hang) return;
        const end = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "length" }] })}\n\ndata: [DONE]\n\n`;
        const body = chunk("<b>fine</b>", -0.01) + chunk(" thanks", -3) + end;
        await route.fulfill({ status: 200, headers: { "content-type": "text/event-stream" }, body });
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
