import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Event } from "./event.ts";
import { watchOf } from "./watch.ts";

/** The events of some work that lasts a fifth of a second before each part but the first. */
async function followed(...parts: readonly (readonly [work: string, done: number])[]) {
  const events: Event[] = [];
  const watch = watchOf({ emit: (event) => events.push(event) }, { preparing: true });
  for (const [i, [work, done]] of parts.entries()) {
    if (i > 0) await setTimeout(200);
    watch(work, done, 4000);
  }
  return events;
}

test("the beginning is told at once, then how long the rest takes at the pace since then", async () => {
  const [first, second] = await followed(["reading rows: row", 0], ["reading rows: row", 1.5]);
  expect(first).toEqual({ type: "work", text: "reading rows: row 0 of 4000", preparing: true });
  // 0.2 s for 1.5 rows are 533 s for the others; a busy machine says more.
  expect((second as { text: string }).text).toMatch(/^reading rows: row 1 of 4000, (\d\d|[89]) min \d+ s left$/);
});

test("other work is told at once, with a pace of its own", async () => {
  const events: Event[] = [];
  const watch = watchOf({ emit: (event) => events.push(event) });
  for (const [work, done] of [
    ["a: row", 0],
    ["a: row", 1],
    ["b: row", 0],
  ] as const)
    watch(work, done, 2);
  expect(events).toEqual([
    { type: "work", text: "a: row 0 of 2" },
    { type: "work", text: "b: row 0 of 2" },
  ]);
});

test("it ends where that is asked", () => {
  const watch = watchOf({ signal: AbortSignal.abort() });
  expect(() => watch("reading rows: row", 0, 2)).toThrow(
    expect.objectContaining({ code: "STOPPED", problem: "reading rows was stopped before its end" }),
  );
});
