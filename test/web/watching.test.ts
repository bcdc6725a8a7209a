/**
 * What those who watch cost the server and a training (T16). Figures are printed; none decides, but that the work was done. By night alone.
 *
 * The training has a core of its own; server, browser and this test share another one. So what the browser draws, which is work of the
 * readers' machines, takes no time from it, and what is left is what watching costs where the training runs.
 */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sentimentRows, wholeInstruction } from "../../src/data/world/rows.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { chatRow, jsonLines } from "../service/pipeline-things.ts";
import { QUICK_POLICY } from "../service/things.ts";
import { inBrowserByNight, nightly, signedIn } from "./browser.ts";
import { withBuiltPages } from "./build.ts";
import { summary, told } from "./figures.ts";
import { startWholeServer, type WholeServer } from "./whole-server.ts";

const TABS = 8;
const STREAMS = 50;
/** A training that is longer than all windows, in which those who watch come and go: how long, a window's length, and what is waited before it. */
const [ROWS, EPOCHS, ALL_SECONDS, SECONDS, SETTLE_MS] = [24_000, 50, 330, 3, 500];
const PATIENCE = 3_600_000;
const RESAMPLES = 2000;
const CORE = { training: "0", others: "1" };

/** All threads of a process, and whatever it starts from now on. */
const pin = (core: string, pid: number): void => {
  execFileSync("taskset", ["-acp", core, String(pid)]);
};
// Before the browser is opened, which is to be there too.
if (nightly) pin(CORE.others, process.pid);

/** Seconds of CPU that all threads of a process have taken; undefined where it is gone. */
function cpuOf(pid: number): number | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((id) =>
      Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]),
    );
    return nanoseconds.reduce((sum, own) => sum + own, 0) / 1e9;
  } catch {
    return undefined;
  }
}
inBrowserByNight("what those who watch cost", (browser) => {
  let server: WholeServer;
  let client: OpenAI;
  beforeAll(async () => {
    server = await startWholeServer({ policy: QUICK_POLICY });
    client = new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1` });
  }, PATIENCE);
  afterAll(async () => {
    await server?.stop();
  });
  const trainers = (): number[] =>
    execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes(server.stageProgram))
      .map((line) => Number(/\d+/.exec(line)?.[0]));

  /** What was counted of the file, up to where. */
  const counted = { bytes: 0, steps: 0 };
  /** Lines of the metrics of the job that is trained: one a step, written with it. */
  const stepsDone = (): number => {
    const scratch = join(server.data, "scratch");
    const works = readdirSync(scratch).filter((name) => name.startsWith("work-"));
    const files = works.flatMap((work) =>
      readdirSync(join(scratch, work)).map((claim) => join(scratch, work, claim, "run/metrics.jsonl")),
    );
    const [path] = files.filter(existsSync);
    if (path === undefined) return 0;
    const file = openSync(path, "r");
    const news = Buffer.alloc(fstatSync(file).size - counted.bytes);
    counted.bytes += readSync(file, news, 0, news.length, counted.bytes);
    closeSync(file);
    counted.steps += news.filter((byte) => byte === 10).length;
    return counted.steps;
  };
  interface JobFacts {
    readonly status: string;
    readonly booster: { readonly state: string; readonly step?: number; readonly total_steps?: number };
  }
  const factsOf = async (id: string) => (await client.fineTuning.jobs.retrieve(id)) as unknown as JobFacts;
  const inState = async (id: string, wanted: (facts: JobFacts) => boolean): Promise<JobFacts> => {
    for (;;) {
      const facts = await factsOf(id);
      if (wanted(facts)) return facts;
      await sleep(100);
    }
  };

  /** Who watches during a window; what is returned ends it. */
  type Watch = () => Promise<() => Promise<void>>;

  /** Tabs that lie empty beside the window, so that only watching differs. */
  async function tabWatch(id: string): Promise<Watch> {
    const { context } = await signedIn(browser(), server.url, server.key);
    await withBuiltPages(context);
    let tabs = await Promise.all(Array.from({ length: TABS }, () => context.newPage()));
    return async () => {
      for (const tab of tabs) await tab.goto(`${server.url}/jobs/${id}/curves`);
      const over = new AbortController();
      const reloading = (async () => {
        while (!over.signal.aborted) {
          await tabs[0]!.reload().catch(() => undefined);
          await sleep(1000);
        }
      })();
      const closing = sleep((SECONDS * 1000) / 2).then(() => tabs[1]!.close());
      return async () => {
        over.abort();
        await Promise.all([reloading, closing]);
        tabs = [tabs[0]!, await context.newPage(), ...tabs.slice(2)];
        for (const tab of tabs) await tab.goto("about:blank");
      };
    };
  }

  const streamWatch: Watch = async () => {
    const lines = await Promise.all(
      Array.from(
        { length: STREAMS },
        () =>
          new Promise<{ destroy(): void }>((resolve) => {
            const request = get(`${server.url}/v1/booster/stream`, {
              headers: { authorization: `Bearer ${server.key}` },
            });
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
  };

  /** What a step of the training and a second of the server cost during a window; undefined where the training ended in it. */
  async function windowOf(trainer: number, watch: Watch) {
    const unwatch = await watch();
    await sleep(SETTLE_MS);
    const now = () => ({
      steps: stepsDone(),
      trainer: cpuOf(trainer),
      server: cpuOf(server.process.pid!)!,
      at: performance.now() / 1000,
    });
    const from = now();
    await sleep(SECONDS * 1000);
    const to = now();
    await unwatch();
    if (from.trainer === undefined || to.trainer === undefined || to.steps <= from.steps) return undefined;
    return {
      step: (1000 * (to.trainer - from.trainer)) / (to.steps - from.steps),
      rate: (to.steps - from.steps) / (to.at - from.at),
      server: (to.server - from.server) / (to.at - from.at),
    };
  }

  /** A mean over rounds with its 95 % interval: percentiles of means of rounds drawn again (bootstrap). */
  function meanOf(values: readonly number[], shown: (mean: number) => number) {
    const draw = new RandomStream(1, "bootstrap");
    const mean = (pick: (i: number) => number) =>
      values.reduce((sum, _, i) => sum + values[pick(i)]!, 0) / values.length;
    const drawn = Array.from({ length: RESAMPLES }, (_, again) =>
      mean((i) => draw.integer(again * values.length + i, values.length)),
    ).toSorted((a, b) => a - b);
    const at = (share: number) => +shown(drawn[Math.floor(share * RESAMPLES)]!).toFixed(4);
    return { mean: +shown(mean((i) => i)).toFixed(4), low: at(0.025), high: at(0.975), rounds: values.length };
  }
  /** The geometric mean of ratios to what stands beside in the same round. */
  const ratio = (values: readonly number[], beside: readonly number[]) =>
    meanOf(
      values.map((value, i) => Math.log(value / beside[i]!)),
      Math.exp,
    );
  const difference = (values: readonly number[], beside: readonly number[]) =>
    meanOf(
      values.map((value, i) => value - beside[i]!),
      (mean) => mean,
    );

  test(
    "a step of a training takes the same CPU whoever watches, and watching costs the server little",
    async () => {
      const rows = jsonLines(sentimentRows("train", ROWS, 5).map((row) => chatRow(wholeInstruction(row), row.output)));
      const file = new File([new Uint8Array(rows)], "rows.jsonl");
      const { id: training_file } = await client.files.create({ file, purpose: "fine-tune" });
      const { id } = await client.fineTuning.jobs.create({
        model: "world-booster",
        training_file,
        seed: 1,
        method: { type: "supervised", supervised: { hyperparameters: { n_epochs: EPOCHS, batch_size: 8 } } },
      });
      await inState(id, ({ booster }) => booster.state === "train" && stepsDone() > 100);
      // A worker's stages are processes of the same program: the one that trains is the one that works now.
      const [trainer] = trainers();
      pin(CORE.training, trainer!);
      const watchers: Readonly<Record<string, Watch>> = {
        nobody: async () => async () => undefined,
        [`${TABS} tabs, of which one is loaded again each second and one closed`]: await tabWatch(id),
        [`${STREAMS} streams`]: streamWatch,
      };
      const found = Object.keys(watchers).map((): NonNullable<Awaited<ReturnType<typeof windowOf>>>[] => []);
      const order = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "windows");
      const begun = performance.now();
      for (let round = 0; performance.now() - begun < ALL_SECONDS * 1000; round++) {
        const places = order.permutation(found.length, round);
        const windows = new Map<number, (typeof found)[number][number] | undefined>();
        for (const place of places) windows.set(place, await windowOf(trainer!, Object.values(watchers)[place]!));
        expect([...windows.values()], "the training outlasts the windows").not.toContain(undefined);
        for (const [place, window] of windows) found[place]!.push(window!);
      }
      const { status, booster } = await factsOf(id);
      expect([status, booster.state]).toEqual(["running", "train"]);
      await client.fineTuning.jobs.cancel(id);
      const [alone] = found;
      expect(alone!.length).toBeGreaterThan(1);
      for (const [place, name] of Object.keys(watchers).entries()) {
        const windows = found[place]!;
        told(`${name} watching`, {
          "CPU of a step, ms": summary(windows.map(({ step }) => step)),
          "against nobody, same round": ratio(
            windows.map(({ step }) => step),
            alone!.map(({ step }) => step),
          ),
          "steps a second": summary(windows.map(({ rate }) => rate)),
          "rate against nobody": ratio(
            windows.map(({ rate }) => rate),
            alone!.map(({ rate }) => rate),
          ),
          "the server's share of a core": summary(windows.map(({ server }) => server)),
          "more than with nobody": difference(
            windows.map(({ server }) => server),
            alone!.map(({ server }) => server),
          ),
        });
      }
    },
    PATIENCE,
  );
});
