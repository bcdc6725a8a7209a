import { expect, test } from "vitest";
import { BoosterError } from "../../../errors.ts";
import { jobError, PLACES } from "./stage.ts";

test("a job says why its program ended, what helps, and nothing that was found in data", () => {
  const told = (code: ConstructorParameters<typeof BoosterError>[0]) =>
    jobError(new BoosterError(code, "it ended", { found: "SIGABRT", where: "gloomtar.jsonl" }));
  expect(told("OUT_OF_MEMORY")).toMatchObject({ code: "out_of_memory" });
  expect(told("MEMORY_TOO_SMALL").message).toMatch(/batch_size.*rows.*base/);
  expect(told("DISK_FULL")).toMatchObject({ code: "disk_full", message: "it ended (DISK_FULL)" });
  expect(told("CHILD_CRASHED")).toMatchObject({ code: "worker_crashed", message: "it ended: SIGABRT" });
  expect(told("NON_FINITE_STEPS").code).toBe("training_diverged");
  for (const [where, param] of [
    [PLACES.training, "training_file"],
    [PLACES.validation, "validation_file"],
  ] as const) {
    const error = jobError(new BoosterError("DATA_TOO_LARGE", "the data file is too large", { where }));
    expect(error).toEqual({ code: `invalid_${param}`, message: "the data file is too large (DATA_TOO_LARGE)", param });
  }
  const data = told("DATA_INVALID");
  expect([data.code, /gloomtar|SIGABRT/.test(data.message)]).toEqual(["internal_error", false]);
});
