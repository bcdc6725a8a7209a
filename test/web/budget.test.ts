/** What the dashboard costs: how soon it is painted, whether 5,000 points move with the pointer, what those who watch cost the server and a training (T16). Figures are printed; none decides, but that the work was done. By night alone. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sentimentRows, wholeInstruction } from "../../src/data/world/rows.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { compileProgram } from "../crash/compile.ts";
import { chatRow, jsonLines, worldBase } from "../service/pipeline-things.ts";
import { startTestServer, type TestServer } from "../service/server.ts";
import { QUICK_POLICY } from "../service/things.ts";
import { openBrowser, signedIn, whyNoBrowser } from "./browser.ts";
import { builtDashboard } from "./build.ts";
import { fill, PretendWorker, type World } from "./world.ts";

const nightly = process.env.BOOSTER_NIGHTLY !== undefined;
const LOADS = 15;
const POINTS = 5000;
const ROUNDS = 3;
const TABS = 8;
const STREAMS = 50;
const PATIENCE = 3_600_000;

const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
const quantile = (values: readonly number[], q: number): number =>
  sorted(values)[Math.min(values.length - 1, Math.floor(q * values.length))]!;
const summary = (values: readonly number[]) => ({
  n: values.length,
  median: +quantile(values, 0.5).toFixed(3),
  p95: +quantile(values, 0.95).toFixed(3),
  most: +Math.max(...values).toFixed(3),
});
const told = (what: string, figures: object): void => console.log(`${what}: ${JSON.stringify(figures)}`);

describe.skipIf(!nightly || whyNoBrowser !== undefined)("what the dashboard costs a browser", () => {
  let server: TestServer;
  let world: World;
  let browser: Browser;
  beforeAll(async () => {
    server = await startTestServer({ dashboard: await builtDashboard() });
    world = await fill(server);
    browser = await openBrowser();
  }, PATIENCE);
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test(
    "the first paint, with nothing kept from before, and when the jobs are there",
    async () => {
      const [first, jobs, computing]: [number[], number[], number[]] = [[], [], []];
      for (let i = 0; i < LOADS; i++) {
        const context = await browser.newContext();
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
      const { context, complaints } = await signedIn(browser, server.url, server.key);
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

/** Seconds of CPU that a process has taken; undefined where it is gone. */
function cpuOf(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return undefined;
  }
}
const folder = mkdtempSync(join(tmpdir(), "booster-budget-"));

describe.skipIf(!nightly || whyNoBrowser !== undefined)("what those who watch cost", () => {
  const program = compileProgram("test/service/service-process.ts");
  const trainer = join(program.path, "../../../src/service/worker/stage-child.js");
  const trainers = (): number[] =>
    execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes(trainer))
      .map((line) => Number(/\d+/.exec(line)?.[0]));
  let service: ChildProcess;
  let url: string;
  let client: OpenAI;
  let key: string;
  let browser: Browser;
  beforeAll(async () => {
    const data = join(folder, "data");
    mkdirSync(join(data, "bases"), { recursive: true });
    cpSync((await worldBase("world-booster")).folder, join(data, "bases/world-booster"), { recursive: true });
    writeFileSync(join(folder, "policy.yaml"), QUICK_POLICY);
    const port = 18_642;
    const options = { data, port, workers: 1, threads: 1, policy: join(folder, "policy.yaml"), logLevel: "silent" };
    service = spawn(process.execPath, [program.path, "serve", JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    ({ key } = JSON.parse(String(await new Promise((resolve) => service.stdout!.once("data", resolve)))));
    url = `http://127.0.0.1:${port}`;
    client = new OpenAI({ apiKey: key, baseURL: `${url}/v1` });
    browser = await openBrowser();
  }, PATIENCE);
  afterAll(async () => {
    await browser?.close();
    service?.kill("SIGTERM");
    await new Promise((resolve) => service?.once("exit", resolve));
    rmSync(folder, { recursive: true, force: true });
  });

  /** A job from its creation to its end: CPU of its training a step, and of the server for a second of that. */
  async function job(training_file: string, watch: (id: string) => Promise<() => Promise<void>>) {
    const { id } = await client.fineTuning.jobs.create({
      model: "world-booster",
      training_file,
      seed: 1,
      method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 12 } } },
    });
    const unwatch = await watch(id);
    const cpu = new Map<number, number>();
    let [steps, began, ended, server] = [0, 0, 0, { from: 0, to: 0 }];
    for (;;) {
      const now = (await client.fineTuning.jobs.retrieve(id)) as unknown as {
        readonly status: string;
        readonly booster: { readonly state: string; readonly total_steps?: number };
      };
      if (["succeeded", "failed", "cancelled"].includes(now.status)) {
        expect(now.status).toBe("succeeded");
        break;
      }
      const isTraining = now.booster.state === "train";
      for (const pid of isTraining ? trainers() : []) cpu.set(pid, cpuOf(pid) ?? cpu.get(pid) ?? 0);
      if (isTraining) {
        if (began === 0) [began, server.from] = [performance.now(), cpuOf(service.pid!)!];
        [ended, server.to] = [performance.now(), cpuOf(service.pid!)!];
      }
      await sleep(50);
    }
    const { data } = await client.fineTuning.jobs.listEvents(id, { limit: 100 });
    steps = Math.max(...data.map(({ data: about }) => Number((about as { step?: number } | undefined)?.step ?? 0)));
    await unwatch();
    const seconds = (ended - began) / 1000;
    return {
      step: (1000 * Math.max(...cpu.values())) / steps,
      steps,
      seconds,
      server: (server.to - server.from) / seconds,
    };
  }

  const watchers: Readonly<Record<string, (id: string) => Promise<() => Promise<void>>>> = {
    nobody: async () => async () => undefined,
    [`${TABS} tabs, of which one is loaded again each second and one closed`]: async (id) => {
      const built = await builtDashboard();
      const { context } = await signedIn(browser, url, key);
      // The application of these sources, whatever was built last.
      await context.route(/\/(assets\/.*|jobs\/.*)?$/, (route) => {
        const path = new URL(route.request().url()).pathname;
        return route.request().resourceType() === "document" || path.startsWith("/assets/")
          ? route.fulfill({ path: join(built, path.startsWith("/assets/") ? path : "index.html") })
          : route.continue();
      });
      const tabs = await Promise.all(Array.from({ length: TABS }, () => context.newPage()));
      for (const tab of tabs) await tab.goto(`${url}/jobs/${id}/curves`);
      const over = new AbortController();
      const reloading = (async () => {
        while (!over.signal.aborted) {
          await tabs[0]!.reload().catch(() => undefined);
          await sleep(1000);
        }
      })();
      await tabs[1]!.close();
      return async () => {
        over.abort();
        await reloading;
        await context.close();
      };
    },
    [`${STREAMS} streams`]: async () => {
      const lines = await Promise.all(
        Array.from(
          { length: STREAMS },
          () =>
            new Promise<{ destroy(): void }>((resolve) => {
              const request = get(`${url}/v1/booster/stream`, { headers: { authorization: `Bearer ${key}` } });
              request.on("response", (response) => {
                expect(response.statusCode).toBe(200);
                response.resume().on("error", () => undefined);
                resolve(request);
              });
              request.on("error", () => undefined);
            }),
        ),
      );
      return async () => {
        for (const line of lines) line.destroy();
      };
    },
  };

  test(
    "a step of a training takes the same CPU whoever watches, and watching costs the server little",
    async () => {
      const rows = jsonLines(sentimentRows("train", 300, 5).map((row) => chatRow(wholeInstruction(row), row.output)));
      const file = new File([new Uint8Array(rows)], "rows.jsonl");
      const { id } = await client.files.create({ file, purpose: "fine-tune" });
      await job(id, watchers.nobody!);
      const found = new Map<string, Awaited<ReturnType<typeof job>>[]>();
      for (let round = 0; round < ROUNDS; round++) {
        for (const [name, watch] of Object.entries(watchers))
          found.set(name, [...(found.get(name) ?? []), await job(id, watch)]);
      }
      const medians = new Map<string, number>();
      for (const [name, jobs] of found) {
        medians.set(
          name,
          quantile(
            jobs.map(({ step }) => step),
            0.5,
          ),
        );
        told(`${name} watching`, {
          steps: jobs[0]!.steps,
          "CPU of a step, ms": summary(jobs.map(({ step }) => step)),
          "the server's share of a core": summary(jobs.map(({ server }) => server)),
          "against nobody": +(medians.get(name)! / medians.get("nobody")!).toFixed(4),
        });
      }
      expect(new Set([...found.values()].flat().map(({ steps }) => steps)).size).toBe(1);
    },
    PATIENCE,
  );
});
