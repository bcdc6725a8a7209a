import { expect, test } from "vitest";
import { chosenGroups } from "./named-groups.ts";

test("groups are found where they stand, also in lists, and nowhere else", () => {
  const options = {
    method: { name: "sft" },
    methods: [
      { method: { name: "booster", lambda: 2 } },
      { method: [{ name: "lisa" }, { name: "antidote", share: 0.1 }] },
    ],
  };
  const found = (group: string) => chosenGroups(options, group).map(({ path, name }) => [path.join("."), name]);
  expect(found("method")).toEqual([["method", "sft"]]);
  expect(found("methods.*.method")).toEqual([["methods.0.method", "booster"]]);
  expect(found("methods.*.method.*")).toEqual([
    ["methods.1.method.0", "lisa"],
    ["methods.1.method.1", "antidote"],
  ]);
  expect(found("repair.method")).toEqual([]);
  expect(chosenGroups(options, "methods.*.method")[0]?.settings).toEqual({ lambda: 2 });
});
