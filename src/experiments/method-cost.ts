import { methodOf } from "../stages/named.ts";

/**
 * Passes of one step of a method, on average: 1 is a forward and a backward pass, as plain SFT has.
 *
 * @example
 * passesOf({ name: "booster" }); // 3
 */
export function passesOf(method: { readonly name: string }): number {
  const { forward, backward } = methodOf(method).passes();
  return (forward + backward) / 2;
}
