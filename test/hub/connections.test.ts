/** What opens connections, and what the documents say of the hub. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { placesOf } from "../../src/choice.ts";
import { TASKS } from "../../src/data/tasks/table.ts";
import type { Task } from "../../src/data/tasks/task.ts";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import { parseHubReference } from "../../src/formats/hub/reference.ts";

const root = resolve(import.meta.dirname, "../..");

test("the hub, the judge, the service, its clients and what it was told to reach, and an experiment that is shown, open connections, and nothing else does", () => {
  const opens = /\bfetch\(|\bWebSocket\b|from "(?:node:)?(?:https?|http2|net|tls|dgram|dns|undici)(?:\/promises)?"/;
  const found = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .filter((file) => opens.test(readFileSync(join(root, "src", file), "utf8").replaceAll(/^import type .*$/gm, "")));
  expect(found.sort()).toEqual([
    "cli/experiment-page.ts",
    "cli/service-client.ts",
    "evaluate/moderators/chat-completion.ts",
    "evaluate/moderators/public-post.ts",
    "formats/addresses.ts",
    "hub/request.ts",
    // What its page runs in a browser, towards its own server.
    "report/live.ts",
    "service/http/server.ts",
    "service/store/s3.ts",
    "service/webhooks/address.ts",
    "service/webhooks/send.ts",
    "service/worker/client.ts",
  ]);
});

test("the known data sets name their places on the hub, as the page does", () => {
  const page = readFileSync(join(root, "docs", "hub.md"), "utf8").split("\n");
  for (const [name, { hub }] of Object.entries<Task>(TASKS)) {
    const row = page.find((line) => line.startsWith(`| \`${name}\``));
    expect(row, name).toContain(hub === undefined ? "not on the hub" : `\`${hub}\``);
    for (const [, text = ""] of row?.matchAll(/`(hf-data:[^`]+)`/g) ?? []) {
      expect(parseHubReference(text).kind).toBe("dataset");
    }
  }
});

test("the paper's table from the hub is an experiment", () => {
  const options = ExperimentOptions.parse(parse(readFileSync(join(root, "examples", "paper-hub.yaml"), "utf8")));
  const kinds = (["model", "file"] as const).map((mark) =>
    placesOf(mark, ExperimentOptions, options).map(({ text }) => parseHubReference(text).kind),
  );
  expect(kinds[0]).toEqual(["model", "model"]);
  expect(kinds[1]?.filter((kind) => kind === "dataset").length).toBe(8);
});
