import { expect, test } from "vitest";
import type { ChatModel } from "../moderators/chat-completion.ts";
import { type Compared, fitShares, lengthControlled } from "./length-control.ts";
import { parsePreference, preferenceOf } from "./preference.ts";
import { winRate } from "./win-rate.ts";

const logit = (share: number): number => Math.log(share / (1 - share));

test("with two lengths and hardly a penalty, the regression goes through both shares", () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ features: [i % 2 ? 1 : -1, 1], share: i % 2 ? 0.8 : 0.3 }));
  const [slope = 0, intercept = 0] = fitShares(rows, 1e6);
  expect(slope).toBeCloseTo((logit(0.8) - logit(0.3)) / 2, 4);
  expect(intercept).toBeCloseTo((logit(0.8) + logit(0.3)) / 2, 4);
});

test("the penalty takes strength off by its closed form, and to 0 where the slope is below it", () => {
  const rows = Array.from({ length: 10 }, () => ({ features: [1], share: 0.8 }));
  // At the least, 10 C (p - 0.8) + 1 = 0.
  expect(fitShares(rows, 1)[0]).toBeCloseTo(logit(0.7), 8);
  expect(fitShares(rows, 0.3)[0]).toBe(0);
});

test("an answer that wins by its length alone is no better than the reference at equal length", () => {
  const compared: Compared[] = Array.from({ length: 200 }, (_, i) => {
    const longer = i % 4 !== 0;
    return { preference: longer ? 0.9 : 0.1, length: longer ? 300 : 100, referenceLength: 200 };
  });
  expect(winRate(compared, 0).winRate).toBeCloseTo(70, 6);
  expect(Math.abs((lengthControlled(compared) ?? 0) - 0.5)).toBeLessThan(0.02);
  expect(lengthControlled(compared.slice(0, 4))).toBeUndefined();
});

test("without a difference in length it is the win rate itself", () => {
  const compared = Array.from({ length: 50 }, (_, i) => ({
    preference: i % 10 < 3 ? 1 : 0,
    length: 5,
    referenceLength: 5,
  }));
  const { winRate: raw, lengthControlled: equal, standardError } = winRate(compared, 0);
  expect(raw).toBeCloseTo(30, 6);
  expect(Math.abs((equal ?? 0) - 30)).toBeLessThan(1);
  expect(standardError).toBeCloseTo(100 * Math.sqrt((0.21 * 50) / 49 / 50), 6);
});

/** A judge that always says the same. */
const saying = (reply: string): Pick<ChatModel, "ask"> => ({
  ask: async (_, read) => read(reply) as never,
});
const PAIRING = { prompt: "p", answer: "good", reference: "bad" };
const signal = new AbortController().signal;

test("who prefers a place comes to a tie, who prefers an answer does not", async () => {
  expect(await preferenceOf(PAIRING, saying("First"), "0", signal)).toBe(0.5);
  expect(await preferenceOf(PAIRING, saying("**tie**"), "0", signal)).toBe(0.5);
  const fair: Pick<ChatModel, "ask"> = {
    ask: async ([message], read) =>
      read(String(message?.content).includes('FIRST: "good"') ? "It says more.\nfirst" : "second") as never,
  };
  expect(await preferenceOf(PAIRING, fair, "0", signal)).toBe(1);
  expect(parsePreference("first or second")).toBeUndefined();
});

test("too many without a verdict are no win rate", () => {
  const outcomes = [1, undefined, undefined].map((preference) => ({ preference, length: 1, referenceLength: 1 }));
  expect(winRate(outcomes, 2)).toMatchObject({ winRate: 100, compared: 1, unjudged: 2 });
  expect(() => winRate(outcomes, 1)).toThrow(/at most 1/);
});
