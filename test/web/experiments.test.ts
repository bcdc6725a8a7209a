/** Experiments in a browser: in the dashboard's list, as finished reports, and as reports that grow while they run. */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { servePage } from "../../src/cli/experiment-page.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { heldIn, keepPlan, readPlan } from "../../src/experiments/kept-plan.ts";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import { planOf } from "../../src/experiments/plan.ts";
import { renderHtml } from "../../src/report/index.ts";
import { RunLock } from "../../src/train/lock.ts";
import { compileProgram } from "../crash/compile.ts";
import { makeTinyWorld, quickAlignment, quickCells, type TinyWorld } from "../experiments/tiny-world.ts";
import { syntheticResult } from "../report/synthetic-result.ts";
import { startTestServer, type TestServer } from "../service/server.ts";
import { axe, inBrowser, nightly, signedIn } from "./browser.ts";
import { builtDashboard } from "./build.ts";

const PATIENCE = 600_000;

/** An experiment on a model that is nowhere. */
const planned = (world: Pick<TinyWorld, "model" | "data">, out: string): ExperimentOptions => {
  const { model, method: _, threads, ...align } = quickAlignment(world as TinyWorld, "sft", 2);
  return ExperimentOptions.parse({
    out,
    model,
    methods: ["sft"],
    seeds: [0],
    align,
    ...quickCells(world as TinyWorld, 2),
    threads,
  });
};

inBrowser("experiments", (browser) => {
  const child = compileProgram("src/service/pipeline/experiment-child.ts");
  const runs = mkdtempSync(join(tmpdir(), "booster-experiments-"));
  let server: TestServer;
  const folderOf = (name: string): string => join(runs, name);
  const lockOf = (folder: string, key: string): RunLock => {
    mkdirSync(join(folder, "locks"), { recursive: true });
    return RunLock.acquire(join(folder, "locks", key));
  };
  /** A browser's page of an owner, once the server has seen a folder: what it tells may be a little old. */
  async function opened(name: string) {
    const { context, complaints } = await signedIn(browser(), server.url, server.key);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const list = `${server.url}/v1/booster/experiments`;
    await expect.poll(async () => (await context.request.get(list)).text()).toContain(`"${name}"`);
    return { context, complaints, page };
  }
  beforeAll(async () => {
    mkdirSync(folderOf("old"));
    cpSync(
      resolve(import.meta.dirname, "../fixtures-0.1/experiment/result.json"),
      join(folderOf("old"), "result.json"),
    );
    const options = { dashboard: await builtDashboard(), experiments: runs, experimentChild: child.path };
    server = await startTestServer(options);
  }, PATIENCE);
  afterAll(async () => {
    await server?.stop();
    rmSync(runs, { recursive: true });
  });

  test(
    "the report of a finished one is read, without anything that runs",
    async () => {
      const { context, complaints, page } = await opened("old");
      await page.goto(`${server.url}/admin/experiments`);
      await page.getByRole("link", { name: "old", exact: true }).click();
      await page.getByRole("heading", { level: 1 }).waitFor();
      expect(await page.title()).toContain("Defences against harmful fine-tuning");
      expect(await page.locator("script, a[href]").count()).toBe(0);
      expect(await axe(page)).toEqual([]);
      expect(complaints.all).toEqual([]);
      for (const name of ["nothing", "..", "assets"]) {
        const address = `${server.url}/v1/booster/experiments/${encodeURIComponent(name)}`;
        for (const what of ["report", "events"])
          expect((await context.request.get(`${address}/${what}`)).status(), name).toBe(404);
      }
      await context.close();
    },
    PATIENCE,
  );

  test(
    "one that has begun stands in the list with its state, and its page says how far it is",
    async () => {
      const options = planned({ model: "nowhere", data: (name) => `${name}.jsonl` }, folderOf("begun"));
      const plan = planOf(options, { models: {}, files: {} });
      keepPlan(options, plan);
      const [first, second] = plan.pieces;
      const all = plan.pieces.length;
      const lock = lockOf(options.out, second!.key);
      const finish = (piece: typeof first): void => {
        mkdirSync(join(options.out, piece!.folder, piece!.key), { recursive: true });
        for (const file of ["model.json", "evaluation.json"])
          writeFileSync(join(options.out, piece!.folder, piece!.key, file), "{}");
      };
      finish(first);
      mkdirSync(folderOf("odd"));
      writeFileSync(join(folderOf("odd"), "plan.json"), "{}");
      const { context, complaints, page } = await opened("begun");
      await page.goto(`${server.url}/admin/experiments`);
      const row = page.locator("tr", { has: page.getByRole("link", { name: "begun" }) });
      await row.getByText("Running").waitFor();
      expect(await row.textContent()).toContain(`1 of ${all}`);
      expect(await row.textContent()).toContain(second!.label);
      await page.locator("tr", { hasText: "odd" }).getByText("Cannot be read").waitFor();
      await page.locator("tr", { hasText: "old" }).getByText("Finished").waitFor();
      expect(await axe(page)).toEqual([]);
      await page.getByRole("link", { name: "begun" }).click();
      await page.getByText(`1 of ${all} pieces done. Now: ${second!.label}.`).waitFor();
      expect(await page.textContent("#report")).toContain("The report comes with the first cell");
      expect(await axe(page)).toEqual([]);
      finish(second);
      lock.release();
      await page.getByText(`Stopped. 2 of ${all} pieces done.`).waitFor();
      expect(complaints.all).toEqual([]);
      await context.close();
    },
    PATIENCE,
  );

  test.runIf(nightly)(
    "the report of one that runs grows in place, and ends as any other",
    async () => {
      const world = await makeTinyWorld();
      const held: number[] = [];
      const out = folderOf("whole");
      await runExperiment(planned(world, out), {
        emit: ({ type }) => type === "piece" && held.push(heldIn(out).length),
      });
      world.remove();
      // Whoever works says so, all the time.
      expect(Math.min(...held)).toBeGreaterThan(0);
      expect(heldIn(out)).toEqual([]);
      const folder = folderOf("growing");
      cpSync(out, folder, { recursive: true });
      rmSync(join(folder, "result.json"));
      const { pieces } = readPlan(folder);
      const last = pieces.at(-1)!;
      const [there, aside] = [join(folder, last.folder, last.key), join(folder, "aside")];
      renameSync(there, aside);
      const lock = lockOf(folder, last.key);
      const { context, complaints, page } = await opened("growing");
      await page.goto(`${server.url}/v1/booster/experiments/growing/report`);
      await page.getByText(`${pieces.length - 1} of ${pieces.length} pieces done. Now: ${last.label}.`).waitFor();
      await page.getByRole("heading", { level: 1 }).waitFor();
      expect(await page.locator("a[href]").count()).toBe(0);
      expect(await axe(page)).toEqual([]);
      const before = await page.textContent("#report");
      expect(before).toContain("lr 1e-4");
      expect(before).not.toContain("lr 1e-3");
      await page.evaluate("window.kept = true");
      renameSync(aside, there);
      await expect.poll(() => page.textContent("#report")).toContain("lr 1e-3");
      lock.release();
      await page.getByText(`Stopped. ${pieces.length} of ${pieces.length} pieces done.`).waitFor();
      cpSync(join(out, "result.json"), join(folder, "result.json"));
      await page.getByText("Finished.").waitFor();
      // Nothing was loaded anew.
      expect(await page.evaluate("window.kept")).toBe(true);
      await expect.poll(() => page.textContent("#report")).toContain("lr 1e-3");
      expect(complaints.all).toEqual([]);
      await context.close();
    },
    PATIENCE,
  );

  test(
    "the page of `experiment --serve` changes in place too, and looks like the report",
    async () => {
      const result = syntheticResult();
      const served = await servePage(runs, 0);
      const page = await browser().newPage();
      const complaints: string[] = [];
      page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
      await page.goto(served.url);
      await page.getByText("The report comes with the first cell that is done.").waitFor();
      served.follow({ type: "piece", piece: "attack", state: "started", done: 3, pieces: 12 });
      await page.getByText("3 of 12 pieces done. attack: started").waitFor();
      served.show(result);
      await page.getByText(result.title).first().waitFor();
      const styleOf = () => page.evaluate<string>("getComputedStyle(document.querySelector('h1')).fontSize");
      const shown = await styleOf();
      // Who comes later hears of what follows as well.
      await page.reload();
      served.follow({ type: "piece", piece: "attack", state: "done", done: 4, pieces: 12 });
      await page.getByText("4 of 12 pieces done. attack: done").waitFor();
      await served.close();
      await page.getByText("Finished").waitFor();
      expect(complaints).toEqual([]);
      await page.setContent(renderHtml(result));
      expect(shown).toBe(await styleOf());
    },
    PATIENCE,
  );
});
