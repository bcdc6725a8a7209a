import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCommand } from "../../src/cli/build-command.ts";
import { COMMANDS } from "../../src/cli/commands/index.ts";
import { Cli, type Json } from "./run-cli.ts";

let cli: Cli;
beforeAll(() => {
  cli = new Cli();
});
afterAll(() => cli.remove());

describe("help", () => {
  test("of the program lists every command", async () => {
    const { code, stdout } = await cli.run(["--help"]);
    expect(code).toBe(0);
    for (const name of ["demo", "pretrain", "align", "finetune", "evaluate", "report", "generate", "chat", "inspect"]) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    }
  });

  test("without any command is shown too", async () => {
    expect(await cli.run([])).toEqual(await cli.run(["--help"]));
  });

  test("of a command describes what it needs and what it chooses from, and names the rest", async () => {
    const { code, stdout } = await cli.run(["align", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/--model <text>[^-]*\(required\)/);
    expect(stdout).toMatch(/one of:\s+sft,[\s\w,-]+;\s+default:\s+sft/);
    expect(stdout).toMatch(/More options:[\s\S]* --learning-rate /);
    expect(stdout).toContain("Examples:");
    // A method of fine-tuning is none of this command's.
    expect(stdout).not.toMatch(/\blisa\b|--method\.lambda/);
  });

  test("describes the settings of what is chosen beside it, and everything when asked for", async () => {
    const { stdout } = await cli.run(["evaluate", "--moderator", "judge", "--help"]);
    const { stdout: all } = await cli.run(["evaluate", "--help-all"]);
    for (const flag of ["base-url", "model", "template", "concurrency", "timeout-ms", "retries"]) {
      expect(stdout).toMatch(new RegExp(`--moderator\\.${flag} <\\w+>\\s+\\w+`));
      expect(all).toMatch(new RegExp(`--moderator\\.${flag} <\\w+>\\s+[\\w-]+: \\w+`));
    }
    expect(stdout).not.toMatch(/^ +--moderator\.file /m);
    expect((await cli.run(["align", "--help-all"])).stdout).toMatch(
      /--learning-rate <number>\s+Highest learning rate \(default: 5e-4\)/,
    );
  });

  test.each(COMMANDS)("of $name is no longer than a screen", async ({ name, load }) => {
    const command = new Command();
    buildCommand(name, command, (await load()).command, () => undefined);
    const help = command.helpInformation();
    expect(help).toContain("Examples:");
    const lines = help.split("\n").map((line) => Math.max(1, Math.ceil(line.length / 100)));
    expect(lines.reduce((sum, line) => sum + line)).toBeLessThanOrEqual(48);
  });

  test("of the program loads nothing heavy: it is there within 0.3 s", async () => {
    await cli.run(["--help"], { env: { NODE_V8_COVERAGE: join(cli.folder, "loaded") } });
    const [name = ""] = readdirSync(join(cli.folder, "loaded"));
    const loaded = readFileSync(join(cli.folder, "loaded", name), "utf8");
    expect(loaded).toContain("/commander/");
    for (const heavy of ["zod", "yaml", "onnxruntime-node", "hyparquet"]) expect(loaded).not.toContain(`/${heavy}/`);
  });

  test("the version is the package's", async () => {
    expect((await cli.run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("what does not exist", () => {
  test("a command is named, with a suggestion and exit code 2", async () => {
    expect(await cli.run(["alin"])).toMatchObject({ code: 2, stderr: expect.stringContaining("Did you mean align?") });
    const { code, stderr } = await cli.run(["data", "shwo"]);
    expect(code).toBe(2);
    expect(stderr).toContain("Did you mean show?");
  });

  test("a flag is named, with a suggestion", async () => {
    const failure = await cli.failure(["align", "--method.lamda", "3"]);
    expect(failure).toMatchObject({ code: "UNKNOWN_OPTION", exit: 2 });
    expect(failure.message).toContain("Did you mean --method.lambda?");
  });

  test("a key of the file is named with line and column", async () => {
    cli.write("typo.yaml", "run: r\nmodel: m\nalignment:\n  path: a.jsonl\n  formt: alpaca\n");
    const failure = await cli.failure(["align", "--config", "typo.yaml"]);
    expect(failure).toMatchObject({ code: "UNKNOWN_OPTION", exit: 2 });
    expect(failure.message).toContain("typo.yaml:5:3");
    expect(failure.message).toContain("Did you mean format?");
  });

  test("a key below a method or moderator is named with line and column, in lists too", async () => {
    cli.write("method.yaml", "run: r\nmodel: m\nalignment: a\nmethod:\n  name: booster\n  lamda: 2\n");
    const method = await cli.failure(["align", "--config", "method.yaml"]);
    expect(method).toMatchObject({ code: "UNKNOWN_OPTION", exit: 2 });
    expect(method.message).toMatch(/"method\.lamda" \(method\.yaml:6:3\)\. Did you mean lambda\?/);

    const experiment = [
      "out: o\nmodel: m\nstrengths: [{learningRate: 1e-4}]\nalign: {alignment: a}\nattack: {task: t}",
      "evaluate:\n  harmful: h\n  moderator:\n    name: judge\n    baseUrl: http://127.0.0.1/v1\n    modle: g",
      "methods:\n  - method: sft\n  - method:\n      name: booster\n      alpa: 1\n",
    ];
    cli.write("grid.yaml", experiment.join("\n"));
    const entry = await cli.failure(["experiment", "--config", "grid.yaml"]);
    expect(entry.message).toMatch(/"methods\.1\.method\.alpa" \(grid\.yaml:16:7\)\. Did you mean alpha\?/);
    cli.write("grid.yaml", experiment.join("\n").replace("alpa", "alpha"));
    const list = "methods:\n  - method:\n      - booster\n      - name: antidote\n        denseRatioo: 1\n";
    cli.write("list.yaml", experiment.join("\n").replace(/methods:[\s\S]*/, list));
    const listed = await cli.failure(["experiment", "--config", "list.yaml"]);
    expect(listed.message).toMatch(
      /"methods\.0\.method\.1\.denseRatioo" \(list\.yaml:16:9\)\. Did you mean denseRatio\?/,
    );
    const moderator = await cli.failure(["experiment", "--config", "grid.yaml"]);
    expect(moderator.message).toMatch(/"evaluate\.moderator\.modle" \(grid\.yaml:11:5\)\. Did you mean model\?/);
  });

  test("a method, and a value that a method cannot use, have their place too", async () => {
    const file = (method: string) => cli.write("m.yaml", `run: r\nmodel: m\nalignment: a\nmethod: ${method}\n`);
    file("bosoter");
    const unknown = await cli.failure(["align", "--config", "m.yaml"]);
    expect(unknown).toMatchObject({ code: "CONFIG_INVALID", exit: 2 });
    expect(unknown.message).toBe('method: there is no method "bosoter". Did you mean booster? at m.yaml:4:1');
    file("{name: booster, lambda: high}");
    const value = await cli.failure(["align", "--config", "m.yaml"]);
    expect(value).toMatchObject({ code: "CONFIG_INVALID", exit: 2 });
    expect(value.message).toMatch(/^method\.lambda is "high": .* at m\.yaml:4:25$/);
    const missing = await cli.failure([
      ...["evaluate", "--run", "r", "--model", "m", "--harmful", "h", "--moderator", "classifier"],
    ]);
    expect(missing).toMatchObject({ code: "OPTION_MISSING", message: expect.stringContaining("--moderator.file") });
  });
});

describe("configuration files", () => {
  test("flags win over the file, the file over the defaults; short forms are the same as long ones", async () => {
    cli.write(
      "a.yaml",
      "run: r\nmodel: m\nmethod: booster\nalignment: a.jsonl\nharmful: {path: h.jsonl, limit: 5}\nseed: 7\nepochs: 3\n",
    );
    const args = ["align", "--config", "a.yaml", "--seed", "8", "--method.lambda", "2", "--alignment.limit", "4"];
    const { code, stdout } = await cli.run([...args, "--print-config", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      seed: 8,
      epochs: 3,
      batchSize: 10,
      method: { name: "booster", lambda: 2 },
      alignment: { path: "a.jsonl", limit: 4 },
      harmful: { path: "h.jsonl", limit: 5 },
    });
  });

  test("what --print-config prints is a configuration file of the same meaning", async () => {
    const first = await cli.run(["align", "--config", "a.yaml", "--avoid", "x.jsonl,y.jsonl", "--print-config"]);
    cli.write("again.yaml", first.stdout);
    expect(await cli.run(["align", "--config", "again.yaml", "--print-config"])).toEqual(first);
  });

  test("what cannot be used is told all at once, each with its place", async () => {
    const lines = ["run: r", "epochs: -3", "seed: .nan", "epocs: 3", "method:", "  name: booster", "  lamda: 2"];
    cli.write("bad.yaml", [...lines, "optimizer: adamv", "alignment: {path: a, formt: alpaca}", "odd: 1"].join("\n"));
    const failure = await cli.failure(["align", "--config", "bad.yaml", "--batch-size", "ten"]);
    expect(failure).toMatchObject({ code: "CONFIG_INVALID", exit: 2 });
    for (const fault of [
      /epochs is -3: .* at bad\.yaml:2:1/,
      /seed is NaN: .* at bad\.yaml:3:1/,
      /--batch-size is "ten": /,
      /there is no option "epocs" \(bad\.yaml:4:1\)\. Did you mean epochs\?/,
      /there is no option "method\.lamda" \(bad\.yaml:7:3\)\. Did you mean lambda\?/,
      /optimizer: there is no optimi\w+ "adamv"\. Did you mean adamw\? at bad\.yaml:8:1/,
      /"alignment\.formt" \(bad\.yaml:9:22\)\. Did you mean format\?/,
      /there is no option "odd" \(bad\.yaml:10:1\)/,
      /--model is needed/,
    ])
      expect(failure.message).toMatch(fault);
    expect(failure.message).toMatch(/^9 options cannot be used\n/);
  });

  test("that are not YAML, not there, or a list", async () => {
    cli.write("syntax.yaml", "run: [a\nmodel: b\n");
    cli.write("list.yaml", "- a\n");
    const syntax = await cli.failure(["align", "--config", "syntax.yaml"]);
    expect(syntax).toMatchObject({
      code: "CONFIG_SYNTAX",
      exit: 2,
      message: expect.stringMatching(/syntax\.yaml:\d+:\d+/),
    });
    expect(await cli.failure(["align", "--config", "list.yaml"])).toMatchObject({ code: "CONFIG_SYNTAX" });
    expect(await cli.failure(["align", "--config", "none.yaml"])).toMatchObject({ code: "CONFIG_NOT_READ", exit: 2 });
  });

  test("what is needed and missing is named as a flag", async () => {
    const failure = await cli.failure(["align", "--run", "r", "--alignment", "a"]);
    expect(failure).toMatchObject({ code: "OPTION_MISSING", exit: 2 });
    expect(failure.message).toContain("--model is needed");
  });

  test("have a JSON Schema with descriptions, defaults and short forms", async () => {
    const schema = JSON.parse((await cli.run(["config-schema", "align"])).stdout);
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties.learningRate).toMatchObject({ default: 5e-4, description: "Highest learning rate" });
    expect(schema.properties.alignment.anyOf[0]).toEqual({ type: "string" });
    const [names, ...methods] = schema.properties.method.anyOf;
    expect(names.enum).toEqual(expect.arrayContaining(["sft", "booster"]));
    const booster = methods.find((entry: { properties: Json }) => (entry.properties.name as Json).const === "booster");
    expect(booster).toMatchObject({ additionalProperties: false, properties: { lambda: { default: 5 } } });
    const evaluate = JSON.parse((await cli.run(["config-schema", "experiment"])).stdout).properties.evaluate;
    const judge = evaluate.properties.moderator.anyOf.find((entry: { properties?: Json }) => entry.properties?.baseUrl);
    for (const property of Object.entries(judge.properties)) {
      if (property[0] !== "name") expect(property[1]).toHaveProperty("description");
    }
    expect(await cli.failure(["config-schema", "alin"])).toMatchObject({ code: "UNKNOWN_COMMAND", exit: 2 });
  });
});

test("a reader that has enough, such as head, ends the command without an error", async () => {
  const { stderr } = await cli.run(["config-schema", "finetune"], { onOutput: (_, kill) => kill("SIGPIPE") });
  expect(stderr).toBe("");
});

test("bash completes commands, flags and what they choose from", async () => {
  const script = cli.write("completion.bash", (await cli.run(["completion", "bash"])).stdout);
  const complete = (...words: string[]) => {
    const call = `booster() { "$NODE" "$PROGRAM" "$@"; }; source "$0"; COMP_WORDS=(booster "$@"); COMP_CWORD=$#; _booster; echo "\${COMPREPLY[*]}"`;
    const env = { ...process.env, NODE: process.execPath, PROGRAM: cli.path };
    return execFileSync("bash", ["-c", call, script, ...words], { encoding: "utf8", env }).trim();
  };
  expect(complete("ali")).toBe("align");
  expect(complete("data", "s")).toBe("show stats");
  expect(complete("align", "--method", "boo")).toBe("booster booster-vaccine");
  expect(complete("align", "--method", "lis")).toBe("");
  expect(complete("data", "show", "--kin")).toBe("--kind");
  // Where words are no choice, the shell's own files are.
  expect(complete("align", "--run", "")).toBe("");
});
