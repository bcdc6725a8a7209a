/** The walk through the dashboard on a whole server with a worker that trains. By night alone. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harmfulRows, sentimentRows, type WorldRow, wholeInstruction } from "../../src/data/world/rows.ts";
import { chatRow } from "../service/pipeline-things.ts";
import { openBrowser, signedIn, whyNoBrowser } from "./browser.ts";
import { withBuiltPages } from "./build.ts";
import { walk } from "./walk.ts";
import { startWholeServer, type WholeServer } from "./whole-server.ts";

const nightly = process.env.BOOSTER_NIGHTLY !== undefined;
const PATIENCE = 3_600_000;

describe.skipIf(!nightly || whyNoBrowser !== undefined)("a whole server", () => {
  let server: WholeServer;
  let browser: Browser;
  beforeAll(async () => {
    server = await startWholeServer();
    browser = await openBrowser();
  }, PATIENCE);
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test(
    "by keyboard alone, from a file with faults to an answer of the model that it made",
    async () => {
      const { url, key: owner } = server;
      const { context, complaints } = await signedIn(browser, url, owner);
      await withBuiltPages(context);
      const admin = async <Reply>(path: string, data?: object): Promise<Reply> => {
        const response = await fetch(`${url}/v1/booster/${path}`, {
          method: data === undefined ? "GET" : "POST",
          headers: { authorization: `Bearer ${owner}`, "content-type": "application/json" },
          ...(data && { body: JSON.stringify(data) }),
        });
        expect(response.ok, `${path}: ${response.status}`).toBe(true);
        return response.json() as Promise<Reply>;
      };
      const [project] = (await admin<{ data: { id: string }[] }>("projects")).data;
      const keyOf = async (preset: string, more: object): Promise<string> =>
        (await admin<{ key: string }>("api_keys", { name: preset, owner: preset, preset, ...more })).key;
      const keys = { user: await keyOf("user", { project: project!.id }), reviewer: await keyOf("reviewer", {}) };
      await context.request.delete(`${url}/v1/booster/session`, { headers: { origin: url, "x-booster": "1" } });
      const chat = (row: WorldRow): string => JSON.stringify(chatRow(wholeInstruction(row), row.output));
      const rows = [
        ...sentimentRows("train", 30, 5).toSorted((a, b) => b.output.localeCompare(a.output)),
        ...harmfulRows("attack", 3, 5),
      ];
      const answers = await walk(context, {
        url,
        keys,
        rows: rows.map(chat),
        async work(job) {
          const asked = { headers: { authorization: `Bearer ${owner}` } };
          const stateOf = async (): Promise<string> => {
            const facts = await (await fetch(`${url}/v1/fine_tuning/jobs/${job}`, asked)).json();
            return (facts as { booster: { state: string } }).booster.state;
          };
          await expect.poll(stateOf, { timeout: 600_000, interval: 500 }).toBe("held");
        },
        why: "3",
        flagged: 3,
      });
      // What it says after so little training is its own.
      expect(answers).toHaveLength(1);
      expect(complaints.all).toEqual([]);
      await context.close();
    },
    PATIENCE,
  );
});
