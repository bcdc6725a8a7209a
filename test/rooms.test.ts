/** The house rules that a reader relies on: arrows point down, files do not chase each other's tails, and stay short. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

/** Bottom up: a room imports only rooms that stand before it. */
const ROOMS = [
  "error-codes",
  "errors",
  "choice",
  "tensor",
  "autodiff",
  "runtime",
  "nn",
  "formats",
  "models",
  "data",
  "optim",
  "methods",
  "train",
  "hub",
  "generate",
  "evaluate",
  "report",
  "stages",
  "experiments",
  "index",
  "service",
  "cli",
];

/** The same inside the service: a room imports only rooms of a lower line, and what stands in no room starts them all. */
const SERVICE = [["domain"], ["store", "engine", "pipeline"], ["http", "worker", "webhooks"]];

const MAX_LINES = 300;
/** Written by a generator from ONNX's own schema. */
const LONG = ["runtime/onnx_pb.ts"];

const src = resolve(import.meta.dirname, "../src");

/** Specifiers of `import ... from`, `export ... from` and `import(...)`; those that only name types do not run. */
function importsOf(text: string): { readonly target: string; readonly runs: boolean }[] {
  const statements = [...text.matchAll(/^(?:import|export)\s+(type\s)?([^;]*?)from\s+"(\.[^"]+)"/gm)].map(
    ([, type, names, target]) => {
      const listed = /^\{([^}]*)\}\s*$/.exec(names ?? "")?.[1]?.split(",");
      const onlyTypes = listed?.every((name) => name.trim() === "" || name.trim().startsWith("type ")) ?? false;
      return { target: target as string, runs: type === undefined && !onlyTypes };
    },
  );
  // A lazy import runs, but after its own file has been loaded: it orders rooms, and closes no cycle.
  const lazy = [...text.matchAll(/\bimport\("(\.[^"]+)"\)/g)].map(([, target]) => ({
    target: target as string,
    runs: false,
  }));
  return [...statements, ...lazy];
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .sort();
const texts = new Map(files.map((file) => [file, readFileSync(join(src, file), "utf8")]));
const graph = new Map(
  files.map((file) => [
    file,
    importsOf(texts.get(file) as string).map(({ target, runs }) => ({
      target: relative(src, resolve(src, dirname(file), target)),
      runs,
    })),
  ]),
);
const roomOf = (file: string): string => (file.split("/")[0] as string).replace(/\.ts$/, "");

describe("rooms", () => {
  test("every folder of src has its place", () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !ROOMS.includes(room))).toEqual([]);
  });

  test("arrows point down", () => {
    const upward = files.flatMap((file) =>
      (graph.get(file) ?? [])
        .filter(({ target }) => ROOMS.indexOf(roomOf(target)) > ROOMS.indexOf(roomOf(file)))
        .map(({ target }) => `${file} imports ${target}`),
    );
    expect(upward).toEqual([]);
  });

  test("arrows point down inside the service", () => {
    const inner = (file: string): string => (file.startsWith("service/") ? (file.split("/")[1] as string) : "");
    const level = (file: string): number => SERVICE.findIndex((rooms) => rooms.includes(inner(file)));
    const upward = files
      .filter((file) => level(file) >= 0)
      .flatMap((file) =>
        (graph.get(file) ?? [])
          .filter(({ target }) => target.startsWith("service/") && inner(target) !== inner(file))
          .filter(({ target }) => level(target) < 0 || level(target) >= level(file))
          .map(({ target }) => `${file} imports ${target}`),
      );
    expect(upward).toEqual([]);
  });

  test("imports lead to files that exist", () => {
    const missing = [...graph].flatMap(([file, targets]) =>
      targets.filter(({ target }) => !graph.has(target)).map(({ target }) => `${file} imports ${target}`),
    );
    expect(missing).toEqual([]);
  });

  test("no file reaches itself through what it imports", () => {
    const reaches = (from: string): Set<string> => {
      const seen = new Set<string>();
      const stack = [from];
      for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
        for (const { target, runs } of graph.get(at) ?? []) {
          if (!runs || seen.has(target)) continue;
          seen.add(target);
          stack.push(target);
        }
      }
      return seen;
    };
    expect(files.filter((file) => reaches(file).has(file))).toEqual([]);
  });

  test(`no file is longer than ${MAX_LINES} lines`, () => {
    const long = files.filter((file) => (texts.get(file) as string).split("\n").length - 1 > MAX_LINES);
    expect(long.filter((file) => !LONG.includes(file))).toEqual([]);
  });
});
