import { once } from "node:events";
import { BoosterError } from "../../src/errors.ts";
import { RunLock } from "../../src/train/lock.ts";

/** Tries to take a lock when told so, says how it went, and keeps it until its standard input ends. */
const [path = ""] = process.argv.slice(2);
console.log("ready");
await once(process.stdin, "data");
try {
  const lock = RunLock.acquire(path);
  console.log("WON");
  await once(process.stdin, "end");
  lock.assertHeld();
  lock.release();
} catch (error) {
  console.log(error instanceof BoosterError ? error.code : error);
  await once(process.stdin, "end");
}
