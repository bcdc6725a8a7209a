/**
 * SHA-256 of what every method compiles to, and of its state after three steps: `npm run hashes > before.json`, and again
 * after a change that should not alter numbers. The programs' bytes are the same everywhere, the states' on processors with the same
 * vector instructions.
 */
import { createHash } from "node:crypto";
import { METHODS } from "../src/methods/registry.ts";
import { encodeModel } from "../src/runtime/encode.ts";
import { device, settingsOf, trainer } from "../test/conformance/trainer.ts";
import { hash } from "../test/conformance/training.ts";

const STEPS = 3;

const found: Record<string, { programs: string[]; state: string }> = {};
for (const { name } of METHODS.rows) {
  const programs: string[] = [];
  const compile = device.compile;
  device.compile = async (spec, fn) => {
    const program = await compile.call(device, spec, fn);
    programs.push(createHash("sha256").update(encodeModel(program.graph)).digest("hex"));
    return program;
  };
  const { stepper, run } = await trainer(name, settingsOf(name));
  await stepper.prepare();
  await run(0, STEPS);
  found[name] = { programs, state: hash(await stepper.save()) };
  device.compile = compile;
}
console.log(JSON.stringify(found, undefined, 2));
