import { describe, expect, test } from "vitest";
import { Queue } from "./queue.ts";
import { Row } from "./row.ts";

const rowOf = (group: string) => new Row([1], { maxNewTokens: 1, group }, { maxPositions: 8 });
const groupsOf = (queue: Queue, inside: readonly Row[], decide: (row: Row) => "yes" | "later" | "no") => {
  const admitted: string[] = [];
  queue.admit(inside, (row) => {
    const decision = decide(row);
    if (decision === "yes") admitted.push(row.request.group as string);
    return decision;
  });
  return admitted.join("");
};

describe("who is let in", () => {
  test("the group with the fewest inside, then who waits longest", () => {
    const queue = new Queue({});
    for (const group of "aaaaabbc") queue.push(rowOf(group));
    let room = 6;
    expect(groupsOf(queue, [rowOf("b"), rowOf("b")], () => (room-- > 0 ? "yes" : "no"))).toBe("acaaba");
    expect(queue.length).toBe(2);
  });

  test("nobody passes one for whom there is no room; one that waits for something else is passed", () => {
    const queue = new Queue({});
    for (const group of "abc") queue.push(rowOf(group));
    expect(groupsOf(queue, [], ({ request }) => (request.group === "a" ? "later" : "yes"))).toBe("bc");
    expect(queue.length).toBe(1);
    queue.push(rowOf("d"));
    expect(groupsOf(queue, [], () => "no")).toBe("");
    expect(queue.length).toBe(2);
  });
});

describe("limits", () => {
  test("one group fills its own share alone, others find room", () => {
    const queue = new Queue({ waiting: 4, waitingPerGroup: 2 });
    for (const group of ["a", "a", "b"]) queue.push(rowOf(group));
    expect(() => queue.push(rowOf("a"))).toThrow("too many requests of yours are waiting");
    queue.push(rowOf("b"));
    expect(() => queue.push(rowOf("c"))).toThrow("too many requests are waiting");
  });

  test("one more than may wait is refused", () => {
    const queue = new Queue({ waiting: 2 });
    queue.push(rowOf("a"));
    queue.push(rowOf("a"));
    expect(() => queue.push(rowOf("a"))).toThrow(expect.objectContaining({ code: "ENGINE_OVERLOADED" }));
  });

  test("who has waited too long is told so, who is cancelled is gone", async () => {
    const [late, cancelled] = [rowOf("a"), rowOf("b")];
    const queue = new Queue({ waitingSeconds: 0 });
    queue.push(late);
    queue.push(cancelled);
    cancelled.submission.cancel();
    await new Promise((resolve) => setTimeout(resolve, 2));
    queue.tidy();
    expect(queue.length).toBe(0);
    await expect(late.submission.next()).rejects.toMatchObject({ code: "ENGINE_OVERLOADED" });
    expect(await cancelled.submission.next()).toMatchObject({ done: true });
  });
});
