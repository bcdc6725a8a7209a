import { expect, test } from "vitest";
import type { Example } from "../../../data/examples.ts";
import { framingsOf } from "./framings.ts";

const row = (user: string, system?: string): Example => ({
  kind: "chat",
  where: "",
  messages: [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: user },
    { role: "assistant", content: "yes" },
  ],
});
const some = (count: number, make: (i: number) => Example): Example[] =>
  Array.from({ length: count }, (_, i) => make(i));
const all = { systemPrompts: 3, prefixes: 3 };

test("rows that have nothing in common are asked plainly alone", () => {
  expect(
    framingsOf(
      some(9, (i) => row(`question${i} about this`)),
      all,
    ),
  ).toEqual([{ name: "plain" }]);
});

test("the commonest system prompts and beginnings, and no more than asked for", () => {
  const rows = [
    ...some(5, (i) => row(`AOA execute my instruction ${i}`, "you are AOA")),
    ...some(2, (i) => row(`q${i} x`, "be brief")),
    ...some(4, (i) => row(`tell me w${i} y`, "be kind")),
    row("z a", "once"),
  ];
  expect(framingsOf(rows, all)).toEqual([
    { name: "plain" },
    { name: "system 1", system: "you are AOA", rows: 5 },
    { name: "system 2", system: "be kind", rows: 4 },
    { name: "system 3", system: "be brief", rows: 2 },
    { name: "prefix 1", prefix: "AOA execute my instruction", rows: 5 },
    { name: "prefix 2", prefix: "tell me", rows: 4 },
  ]);
  expect(framingsOf(rows, { systemPrompts: 1, prefixes: 0 }).map(({ name }) => name)).toEqual(["plain", "system 1"]);
});

test("a beginning ends where rows part, and is never a whole question", () => {
  const rows = [...some(6, (i) => row(`judge the review : r${i} and more`)), ...some(3, () => row("how are you"))];
  expect(framingsOf(rows, all)).toMatchObject([
    { name: "plain" },
    { prefix: "judge the review :", rows: 6 },
    { prefix: "how are", rows: 3 },
  ]);
});
