import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";

const loaded = () =>
  Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("onnxruntime-node"));

test("ONNX Runtime is not loaded by any command's options and help, only where something is computed", async () => {
  for (const row of COMMANDS) await row.load();
  expect(loaded()).toBe(false);
  await new Device().upload(tensor("float32", [1], [1]));
  expect(loaded()).toBe(true);
});
