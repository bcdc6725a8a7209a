import { choose, type Named } from "../choice.ts";
import { METHODS } from "../methods/registry.ts";

/**
 * Passes of one step of a method, on average: 1 is a forward and a backward pass, as plain SFT has.
 *
 * @example
 * passesOf({ name: "booster" }); // 3
 */
export function passesOf(method: Named): number {
  const { forward, backward } = choose(METHODS, method).passes;
  return (forward + backward) / 2;
}
