import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../domain/limits.ts";
import type { Service } from "./service.ts";
import { type Asked, streamed } from "./streamed.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a client that takes nothing is let go, and the file is closed; a slow one has its time after each piece", async () => {
  const destroy = vi.fn();
  const asked = { incoming: { socket: { destroy } }, c: { get: () => "" } } as unknown as Asked;
  const log = { error: vi.fn() };
  const bytes = Readable.from(Array.from({ length: 9 }, (_, i) => new Uint8Array([i])));
  const reader = streamed({ log } as unknown as Service, asked, bytes).getReader();
  for (let i = 0; i < 4; i++) {
    expect((await reader.read()).value).toEqual(new Uint8Array([i]));
    await vi.advanceTimersByTimeAsync((LIMITS.drainSeconds - 1) * 1000);
  }
  expect([destroy.mock.calls.length, bytes.destroyed]).toEqual([0, false]);
  await vi.advanceTimersByTimeAsync(1000);
  expect([destroy.mock.calls.length, bytes.destroyed]).toEqual([1, true]);
  expect(log.error).not.toHaveBeenCalled();
});
