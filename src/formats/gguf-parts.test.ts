import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as build from "../../test/attacks/gguf-builder.ts";
import { openGgufParts } from "./gguf-parts.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "booster-parts-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const code = (name: string) => expect.objectContaining({ code: name });
const number = (key: string, value: number) => build.pair(key, build.U32, build.u32(value));

/** Two tensors a part, of the part's number. */
function write(no: number, count: number, tensors = 2 * count, tensor = `t${no}`): string {
  const path = join(root, `m-0000${no + 1}-of-0000${count}.gguf`);
  const pairs = [number("split.no", no), number("split.count", count), number("split.tensors.count", tensors)];
  const whole = { name: tensor, dims: [1], type: 0, data: build.f32(no) };
  const packed = { name: `${tensor}.packed`, dims: [32, 1], type: 8, data: new Uint8Array(34).fill(no, 2) };
  writeFileSync(path, build.buildGguf({ pairs, tensors: [whole, packed] }));
  return path;
}

test("all parts are one model, whichever is named", () => {
  const paths = [0, 1, 2].map((no) => write(no, 3));
  for (const path of paths) {
    const file = openGgufParts(path);
    expect(file.paths).toEqual(paths);
    expect(["t0", "t1", "t2"].map((name) => file.load(name).data[0])).toEqual([0, 1, 2]);
    expect(["t0", "t1", "t2"].map((name) => file.keep(`${name}.packed`)?.codes.data[0])).toEqual([0, 1, 2]);
    expect(() => file.load("t9")).toThrow(code("TENSOR_NOT_FOUND"));
  }
});

test("a missing part is named", () => {
  const [first, second] = [write(0, 2), write(1, 2)];
  rmSync(second);
  expect(() => openGgufParts(first)).toThrow(new RegExp(basename(second)));
  expect(() => openGgufParts(first)).toThrow(code("GGUF_PARTS_INVALID"));
});

test("parts that do not belong together are refused", () => {
  const [first, second] = [write(0, 2), write(1, 2)];
  renameSync(write(1, 3), second);
  expect(() => openGgufParts(first)).toThrow(code("GGUF_PARTS_INVALID"));
  write(1, 2, 4, "t0");
  expect(() => openGgufParts(first)).toThrow(code("GGUF_DUPLICATE_NAME"));
  write(1, 2);
  expect(() => openGgufParts(write(0, 2, 3))).toThrow(code("GGUF_PARTS_INVALID"));
  renameSync(write(0, 2), join(root, "renamed.gguf"));
  expect(() => openGgufParts(join(root, "renamed.gguf"))).toThrow(/NAME-00001-of-00002\.gguf/);
});
