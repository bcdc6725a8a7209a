import { configureMethod } from "../methods/registry.ts";

/**
 * Passes of one step of a method, on average: 1 is a forward and a backward pass, as plain SFT has.
 *
 * @example
 * passesOf({ name: "booster" }); // 3
 */
export function passesOf({ name, ...settings }: { readonly name: string }): number {
  const { forward, backward } = configureMethod(name, settings).passes();
  return (forward + backward) / 2;
}
