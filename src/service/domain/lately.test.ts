import { expect, test } from "vitest";
import { lately } from "./lately.ts";

test("a thousand who want to know at once are told by one asking; later it is asked again", async () => {
  let [now, asked] = [0, 0];
  const told = lately(
    2,
    async () => ++asked,
    () => now,
  );
  expect(new Set(await Promise.all(Array.from({ length: 1000 }, told)))).toEqual(new Set([1]));
  now = 1.9;
  expect(await told()).toBe(1);
  now = 2;
  expect([await told(), await told()]).toEqual([2, 2]);
});
