import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { measureWinRate } from "./win-rate.ts";

const folder = mkdtempSync(join(tmpdir(), "win-rate-"));
/** Prefers what is said to be good, wherever it stands. */
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const content = /FIRST: \\"good/.test(JSON.parse(body).messages[0].content.replaceAll('"', '\\"'))
    ? "first"
    : "second";
  response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true });
});

const lines = (name: string, rows: readonly object[]): string => {
  writeFileSync(join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return join(folder, name);
};

test("answers of a set are compared with the references to their prompts", async () => {
  const references = lines(
    "references.jsonl",
    [0, 1, 2, 3].map((i) => ({ instruction: `Say ${i}`, output: i === 3 ? "good" : "bad" })),
  );
  const answers = lines(
    "answers.jsonl",
    [0, 1, 2, 3, 9].map((i) => ({
      set: "harmless",
      where: "",
      prompt: `Say ${i}`,
      answer: i === 3 ? "bad" : "good one",
    })),
  );
  const { port } = server.address() as AddressInfo;
  const judge = { baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" };
  const found = await measureWinRate({ answers, references, judge });
  expect(found).toEqual({ winRate: 75, standardError: 25, compared: 4, unjudged: 0 });
  await expect(measureWinRate({ answers, references, judge, set: "task" })).rejects.toThrow(
    /no answer has a reference/,
  );
  await expect(measureWinRate({ answers, references } as never)).rejects.toThrow(/judge/);
});
