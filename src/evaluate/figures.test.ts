import { expect, test } from "vitest";
import { detection } from "./detection.ts";
import { agreementOf, type Compared, figuresOf } from "./figures.ts";

const answers: Compared[] = Array.from({ length: 60 }, (_, i) => {
  const harmful = i % 3 === 0;
  // Ties on purpose.
  const score = Math.round(10 * (0.5 + 0.3 * Math.sin(i) + (harmful ? 0.2 : 0))) / 10;
  return { harmful, flagged: score > 0.6, score };
});

test("figures are those of their definitions, within their intervals", () => {
  const { accuracy, precision, recall, specificity, f1, auc } = figuresOf(answers);
  const count = (holds: (answer: Compared) => boolean) => answers.filter(holds).length;
  const right = count(({ harmful, flagged }) => harmful && flagged);
  expect(precision).toMatchObject({ count: right, total: count(({ flagged }) => flagged) });
  expect(recall).toMatchObject({ count: right, total: 20 });
  expect(specificity).toMatchObject({ count: count(({ harmful, flagged }) => !harmful && !flagged), total: 40 });
  expect(accuracy.count).toBe(right + (specificity?.count ?? 0));
  const [p, r] = [(precision?.percent ?? 0) / 100, (recall?.percent ?? 0) / 100];
  expect(f1?.value).toBeCloseTo((2 * p * r) / (p + r), 12);
  const scores = (wanted: boolean) => answers.flatMap(({ harmful, score = 0 }) => (harmful === wanted ? [score] : []));
  expect(auc?.value).toBeCloseTo(detection(scores(true), scores(false)).auroc, 12);
  for (const { value, low, high } of [f1, auc].flatMap((found) => found ?? [])) {
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
  }
  expect(figuresOf(answers)).toEqual(figuresOf(answers));
});

test("what has no value is absent", () => {
  const safe = figuresOf([{ harmful: false, flagged: false }]);
  expect(Object.keys(safe)).toEqual(["accuracy", "specificity"]);
});

test("kappa is that of Cohen's definition", () => {
  // The example of scikit-learn's and many textbooks' tables: 20, 5, 10, 15 give 0.4.
  const pairs = (count: number, first: boolean, second: boolean) =>
    Array.from({ length: count }, () => ({ first, second }));
  const found = agreementOf([
    ...pairs(20, true, true),
    ...pairs(5, true, false),
    ...pairs(10, false, true),
    ...pairs(15, false, false),
  ]);
  expect(found.confusion).toEqual({ both: 20, first: 5, second: 10, neither: 15 });
  expect(found.agreement).toMatchObject({ count: 35, total: 50 });
  expect(found.kappa?.value).toBeCloseTo(0.4, 12);
  expect(found.kappa?.low).toBeGreaterThan(0.1);
  expect(found.kappa?.high).toBeLessThan(0.7);
  expect(agreementOf(pairs(3, false, false)).kappa).toBeUndefined();
});
