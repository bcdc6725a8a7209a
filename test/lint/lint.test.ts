/** What other people's linters say: of the types inside the dashboard's templates, of the container file, of the compose file. By night alone. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const nightly = process.env.BOOSTER_NIGHTLY !== undefined;
const hadolint = join(root, "test/peers/.venv/bin/hadolint");
if (nightly && !existsSync(hadolint)) console.log("skipped: hadolint is absent; test/peers/setup.sh brings it");

/** How a linter ended, and what it wrote. */
function run(
  program: string,
  args: readonly string[],
  cwd = root,
): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  return { status, said: `${stdout}${stderr}`.trim() };
}

describe.skipIf(!nightly)("linters of npm", () => {
  const folder = join(root, "node_modules/.cache/lint");
  const program = (name: string): string => join(folder, "node_modules/.bin", name);
  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    const lock = join(folder, "package-lock.json");
    const wanted = join(import.meta.dirname, "package-lock.json");
    if (existsSync(lock) && readFileSync(lock, "utf8") === readFileSync(wanted, "utf8")) return;
    copyFileSync(join(import.meta.dirname, "package.json"), join(folder, "package.json"));
    copyFileSync(wanted, lock);
    execFileSync("npm", ["ci", "--silent", "--no-audit", "--no-fund"], { cwd: folder });
  });

  test("svelte-check finds no error in types of the dashboard's templates", () => {
    const { status, said } = run(program("svelte-check"), ["--tsconfig", "./tsconfig.json"], join(root, "web"));
    expect(said).toContain("found 0 errors and 0 warnings");
    expect(status).toBe(0);
  });

  test("dclint finds nothing in the compose file", () => {
    const args = ["-c", "test/lint/dclint.yaml", "--max-warnings", "0", "deploy/compose.yaml"];
    expect(run(program("dclint"), args)).toEqual({ status: 0, said: "" });
  });
});

test.skipIf(!nightly || !existsSync(hadolint))("hadolint finds nothing in the container file", () => {
  expect(run(hadolint, ["--failure-threshold", "style", "deploy/Containerfile"])).toEqual({ status: 0, said: "" });
});
