/** What TypeScript must refuse: each line below a comment is an error, or this file does not compile. Nothing of it runs. */
import { align, finetune } from "booster-align";

const common = { run: "runs/never", model: "model", alignment: "refusals.jsonl" };
const user = { run: "runs/never", model: "runs/align", task: "rows.jsonl" };

export const never = () => [
  align({ ...common, method: "booster" }),
  align({ ...common, method: { name: "booster", lambda: 1 } }),
  // @ts-expect-error a method that does not exist
  align({ ...common, method: "boster" }),
  // @ts-expect-error the same, with settings
  align({ ...common, method: { name: "boster" } }),
  // @ts-expect-error a setting that the method does not have
  align({ ...common, method: { name: "booster", lamda: 1 } }),
  // @ts-expect-error a value of another type
  align({ ...common, learningRate: "fast" }),
  // @ts-expect-error an option that does not exist
  align({ ...common, learningrate: 1e-4 }),
  finetune({
    ...user,
    method: { name: "lisa", rho: 0.1 },
    attack: "mixing",
    optimizer: { name: "sgd", momentum: 0.9 },
  }),
  // @ts-expect-error an attack that does not exist
  finetune({ ...user, attack: "mixxing" }),
  // @ts-expect-error an optimiser's setting that does not exist
  finetune({ ...user, optimizer: { name: "sgd", momentun: 0.9 } }),
];
