/** A new user's trial of `booster serve` as it is, with the key that it prints and its own policy, and a worker that trains. By night alone. */
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { harmfulRows, sentimentRows, type WorldRow, wholeInstruction } from "../../src/data/world/rows.ts";
import { chatRow } from "../service/pipeline-things.ts";
import { axe, inBrowserByNight, overhang, watched } from "./browser.ts";
import { withBuiltPages } from "./build.ts";
import { walk } from "./walk.ts";
import { startWholeServer, type WholeServer } from "./whole-server.ts";

/** A folder for pictures of the way, for people to look at. */
const pictures = process.env.BOOSTER_PICTURES;
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

inBrowserByNight("a whole server", (browser) => {
  let server: WholeServer;
  beforeAll(async () => {
    server = await startWholeServer({ policy: undefined });
  });
  afterAll(async () => {
    await server?.stop();
  });

  test("by keyboard alone, from a file with faults to answers of the model that it made beside its base's", async () => {
    const { url, key } = server;
    const { context, complaints } = await watched(browser());
    await withBuiltPages(context);
    const chat = (row: WorldRow): string => JSON.stringify(chatRow(wholeInstruction(row), row.output));
    const rows = [
      ...sentimentRows("train", 120, 5).toSorted((a, b) => b.output.localeCompare(a.output)),
      ...harmfulRows("attack", 4, 5),
    ];
    const wrong: string[] = [];
    const look = async (tab: Page, name: string): Promise<void> => {
      for (const [form, viewport, colorScheme] of [
        ["dark", WIDE, "dark"],
        ["phone", PHONE, "light"],
        ["light", WIDE, "light"],
      ] as const) {
        await tab.setViewportSize(viewport);
        await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        wrong.push(...(await axe(tab)).map((line) => `${name}, ${form}: ${line}`));
        if ((await overhang(tab)) > 0) wrong.push(`${name}, ${form}: wider than its window`);
        if (pictures !== undefined)
          await tab.screenshot({ path: join(pictures, `trial-${name}-${form}.png`), fullPage: true });
      }
    };
    const answers = await walk(context, {
      url,
      // The first key is for one person who tries everything.
      keys: { user: key, reviewer: key },
      rows: rows.map(chat),
      async work(job) {
        const asked = { headers: { authorization: `Bearer ${key}` } };
        const stateOf = async (): Promise<string> => {
          const facts = await (await fetch(`${url}/v1/fine_tuning/jobs/${job}`, asked)).json();
          return (facts as { booster: { state: string } }).booster.state;
        };
        await expect.poll(stateOf, { timeout: 600_000, interval: 500 }).toBe("held");
      },
      why: "4 of 124 rows that were trained on are flagged as harmful (lines 121–124)",
      flagged: 4,
      look,
    });
    // What they say after so little training is their own.
    expect(answers).toHaveLength(2);
    expect(wrong).toEqual([]);
    expect(complaints.all).toEqual([]);
    await context.close();
  });
});
