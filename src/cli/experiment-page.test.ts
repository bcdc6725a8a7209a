import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { syntheticResult } from "../../test/report/synthetic-result.ts";
import { type ExperimentPage, servePage } from "./experiment-page.ts";

const out = mkdtempSync(join(tmpdir(), "booster-page-"));
let page: ExperimentPage;
beforeAll(async () => {
  mkdirSync(join(out, "after", "one"), { recursive: true });
  writeFileSync(join(out, "after", "one", "evaluation.json"), "{}");
  writeFileSync(join(out, "result.json"), "secret");
  page = await servePage(join(out, "after"), 0);
});
afterAll(() => rmSync(out, { recursive: true }));

/** As a browser sends it: no path is made shorter before. */
const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(page.url);
    request({ hostname, port, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });

test("shows what was found so far, tells what is being done, and ends", async () => {
  expect(await (await fetch(page.url)).text()).toContain("with the first cell that is done");
  const news = await fetch(`${page.url}events`);
  page.follow({ type: "piece", piece: "attack <b>", state: "started", done: 3, pieces: 12, secondsLeft: 90 });
  page.show(syntheticResult());
  const shown = await (await fetch(page.url)).text();
  expect(shown).toContain('<div id="report">');
  expect(shown).toContain("3 of 12 pieces done, about 2 min left. attack &lt;b&gt;: started");
  await page.close();
  const told = await news.text();
  expect(told.match(/^event: .*$/gm)).toEqual(["event: progress", "event: progress", "event: report", "event: end"]);
});

test("gives out measurements of the experiment alone, to pages of this host alone", async () => {
  page = await servePage(join(out, "after"), 0);
  expect(await get("/one/evaluation.json")).toBe(200);
  for (const path of ["/../result.json", "/%2e%2e/result.json", "/one", "/two/evaluation.json", "/%", "/result.json"])
    expect(await get(path), path).toBe(404);
  expect(await get("/", { host: "evil.example:80" })).toBe(403);
  await expect(servePage(out, Number(new URL(page.url).port))).rejects.toMatchObject({ code: "PORT_IN_USE" });
  await page.close();
});
