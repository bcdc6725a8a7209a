import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { compileProgram } from "./compile.ts";

const program = compileProgram("test/crash/contender.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-race-"));
const contenders = 8;

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Starts all, lets them go at once, and returns what each of them said while the winner still held the lock. */
async function race(path: string): Promise<string[]> {
  const children = Array.from({ length: contenders }, () => spawn(process.execPath, [program.path, path]));
  const said = children.map(() => "");
  children.forEach((child, i) => {
    child.stdout.on("data", (text) => {
      said[i] += text;
    });
  });
  await expect.poll(() => said.every((text) => text === "ready\n")).toBe(true);
  for (const child of children) child.stdin.write("go");
  await expect.poll(() => said.every((text) => /^ready\n.+\n/.test(text))).toBe(true);
  const results = said.map((text) => text.slice("ready\n".length).trim()).sort();
  const closed = Promise.all(children.map((child) => once(child, "close")));
  for (const child of children) child.stdin.end();
  await closed;
  return results;
}

const oneWinner = [...Array<string>(contenders - 1).fill("RUN_LOCKED"), "WON"];

test("of eight processes that want a free lock at once, one gets it", async () => {
  for (let round = 0; round < 3; round++) expect(await race(join(folder, `free-${round}`))).toEqual(oneWinner);
});

test("of eight processes that want a dead process's lock at once, one gets it", async () => {
  for (let round = 0; round < 3; round++) {
    const path = join(folder, `stale-${round}`);
    mkdirSync(path);
    const dead = { pid: 1, host: hostname(), started: "0", boot: "an earlier one", slurmJob: "", slurmRestart: "" };
    writeFileSync(join(path, "holder-dead.json"), JSON.stringify(dead));
    expect(await race(path)).toEqual(oneWinner);
  }
});
