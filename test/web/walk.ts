/** The way of new users and a reviewer through the dashboard, by keyboard alone. */
import type { BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import { tabTo } from "./browser.ts";

export const rowsOf = (count: number): string[] =>
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

export const fileOf = (rows: readonly string[], name: string) => ({
  name,
  mimeType: "application/jsonl",
  buffer: Buffer.from(`${rows.join("\n")}\n`),
});

/** The text of the heading that has the focus. */
const focusedHeading = (page: Page): Promise<string> =>
  page.evaluate("document.activeElement.matches('h1, h2') ? document.activeElement.textContent : ''");

/** Whose server it is, and what is to be seen there. */
export interface Walk {
  readonly url: string;
  readonly keys: { readonly user: string; readonly reviewer: string };
  /** Without faults; two are made. */
  readonly rows: readonly string[];
  /** Done while the job's page is looked at: the job comes to be held. */
  work(job: string): Promise<void>;
  /** What the job's page says of the reason. */
  readonly why: string;
  /** Rows whose texts a reviewer may see. */
  readonly flagged: number;
  beforeAsking?(tab: Page): Promise<unknown>;
  /** Looks at a page of the way, as soon as there is on it what it is for. */
  look?(tab: Page, name: string): Promise<void>;
}

/**
 * A file with two faults is mended and trained on, its job held and understood, released by a reviewer, and the model is talked to.
 *
 * @returns what the model answered
 */
export async function walk(context: BrowserContext, on: Walk): Promise<string[]> {
  const { keys, rows } = on;
  const tab = await context.newPage();
  tab.setDefaultTimeout(120_000);
  const look = async (name: string): Promise<void> => on.look?.(tab, name);
  const press = async (name: string): Promise<void> => {
    await tab.getByText(name).first().waitFor({ state: "attached" });
    await tabTo(tab, name);
    await tab.keyboard.press("Enter");
  };
  const type = async (name: string, words: string): Promise<void> => {
    await tabTo(tab, name);
    await tab.keyboard.type(words);
  };
  /** The page with this heading is there, and the focus with it. */
  const arrived = async (heading: string): Promise<void> => {
    await tab.getByRole("heading", { name: heading }).first().waitFor();
    await expect.poll(() => focusedHeading(tab)).toContain(heading);
  };
  const choose = async (name: string, file: ReturnType<typeof fileOf>): Promise<void> => {
    const chooser = tab.waitForEvent("filechooser");
    await press(name);
    await (await chooser).setFiles(file);
  };
  const signIn = async (key: string): Promise<void> => {
    await type("Key", key);
    await tab.keyboard.press("Enter");
  };

  await tab.goto(on.url);
  await tab.getByRole("heading", { name: "Where is the key?" }).waitFor();
  await look("sign-in");
  await signIn(keys.user);
  await arrived("Jobs");
  await look("jobs");
  await press("New job");
  await arrived("New job");
  const faulty = rows.with(6, rows[6]!.replace("assistant", "asistant")).with(17, rows[17]!.slice(0, -1));
  await choose("Choose a file", fileOf(faulty, "reviews.jsonl"));
  await tab.getByText("2 faults in reviews.jsonl").waitFor();
  const faults = await tab.locator(".faults li").allTextContents();
  expect(faults.map((fault) => /Line \d+/.exec(fault)?.[0])).toEqual(["Line 7", "Line 18"]);
  expect(faults[0]).toContain("A message's role is none of");
  // What stands there is known to the browser alone.
  expect(faults[0]).toContain("asistant");
  expect(faults[1]).toContain("the line ends here");
  await look("faults");
  await press("Start the job");
  expect(await tab.locator("#fit").textContent()).toContain("The file has faults");

  await choose("Upload the mended file", fileOf(rows, "reviews.jsonl"));
  await tab.getByText(`${rows.length} rows, no faults`).waitFor();
  const learnt = tab.locator(".tokens").first().locator("mark");
  await learnt.first().waitFor();
  expect((await learnt.allTextContents()).join("")).toContain("positive");
  await type("Name", "mended");
  // What was chosen stands in the address.
  await tab.reload();
  await tab.getByText(`${rows.length} rows, no faults`).waitFor();
  expect(await tab.getByLabel("Name").inputValue()).toBe("mended");
  await tab.getByText("Steps", { exact: true }).waitFor();
  await look("mended");
  await press("Start the job");
  await arrived("mended");
  const address = `${on.url}/v1/fine_tuning/jobs`;
  const job = new URL(tab.url()).pathname.split("/").at(-1)!;
  const [newest] = (await (await context.request.get(`${address}?limit=1`)).json()).data;
  expect(newest.id).toBe(job);

  await on.work(job);
  await tab.getByText("No reviewer has decided yet").waitFor();
  await tab.getByText(on.why).first().waitFor();
  await look("held");
  await press("Sign out");
  await arrived("Sign in with a key");
  await signIn(keys.reviewer);
  // The address of a job is kept over signing in; a reviewer of all projects has none of its jobs.
  await press("Held");
  await arrived("Held for review");
  await press("mended");
  await arrived("Review of mended");
  await press(`Show the texts of ${on.flagged} rows`);
  await arrived("What the flagged rows say");
  await look("review");
  await type("Reason", "The interval is wide, and the five answers are harmless.");
  await press("Release");
  await tab.getByText("released it").waitFor();
  await tab.getByText("A reviewer released this model").waitFor();
  await arrived("Review of mended");
  await look("released");

  await press("Sign out");
  await arrived("Sign in with a key");
  await signIn(keys.user);
  await press("Models");
  await arrived("Models");
  await look("models");
  const { fine_tuned_model: model } = await (await context.request.get(`${address}/${job}`)).json();
  await press(`Talk to ${model}`);
  await arrived("Playground");
  await on.beforeAsking?.(tab);
  await type("Ask", "judge the review : the meal was superb");
  await tab.keyboard.press("Enter");
  // Whoever does not see the answers hears when they are whole.
  const heard = () => tab.locator("[role=status]").first().textContent();
  await expect.poll(heard).toBe("The answers are there");
  await look("answers");
  return tab.locator(".answer").allInnerTexts();
}
