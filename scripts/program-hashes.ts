/**
 * SHA-256 of what every method compiles to, and of its state after three steps: `npm run hashes > before.json`, and again
 * after a change that should not alter numbers. The programs' bytes are the same everywhere, the states' on processors with the same
 * vector instructions.
 */
import { createHash } from "node:crypto";
import { METHODS } from "../src/methods/registry.ts";
import { encodeModel } from "../src/runtime/encode.ts";
import type { Program } from "../src/runtime/index.ts";
import { device, settingsOf, trainer } from "../test/conformance/trainer.ts";
import { hash } from "../test/conformance/training.ts";

const STEPS = 3;

const found: Record<string, { programs: string[]; state: string }> = {};
for (const { name } of METHODS.rows) {
  const programs: string[] = [];
  const told = (program: Pick<Program, "graph">) => {
    programs.push(createHash("sha256").update(encodeModel(program.graph)).digest("hex"));
    return program;
  };
  // `compile` goes through it too.
  const { compileStep } = device;
  Object.assign(device, {
    compileStep: (...args: Parameters<typeof compileStep>) => compileStep.apply(device, args).then(told),
  });
  const { stepper, run } = await trainer(name, settingsOf(name));
  await stepper.prepare();
  await run(0, STEPS);
  found[name] = { programs, state: hash(await stepper.save()) };
  Object.assign(device, { compileStep });
}
console.log(JSON.stringify(found, undefined, 2));
