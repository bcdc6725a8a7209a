import { appendFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MetricsTail } from "./metrics.ts";

test("a step is told once it is whole, with what was measured after it, whenever its line comes", () => {
  const path = join(mkdtempSync(join(tmpdir(), "tail-")), "metrics.jsonl");
  const tail = new MetricsTail(path);
  expect(tail.next()).toEqual([]);
  const line = (row: object) => `${JSON.stringify(row)}\n`;
  const first = line({ kind: "step", step: 1, loss: 2, learningRate: 0.1, skipped: 0, gradientNorm: 9 });
  appendFileSync(path, `${line({ kind: "evaluation", step: 0, trainAccuracy: 0.1 })}${first.slice(0, 20)}`);
  expect(tail.next()).toEqual([]);
  appendFileSync(path, first.slice(20) + line({ kind: "evaluation", step: 1, validLoss: 3, validAccuracy: 0.5 }));
  expect(tail.next()).toEqual([{ step: 0, train_mean_token_accuracy: 0.1 }]);
  appendFileSync(path, line({ kind: "step", step: 2, loss: "NaN", learningRate: 0.1, skipped: 1 }));
  expect(tail.next()).toEqual([
    { step: 1, train_loss: 2, learning_rate: 0.1, skipped: 0, valid_loss: 3, valid_mean_token_accuracy: 0.5 },
  ]);
  expect(tail.next(true)).toEqual([{ step: 2, learning_rate: 0.1, skipped: 1 }]);
  expect(tail.next(true)).toEqual([]);
});
