import { BoosterError } from "../../errors.ts";
import type { ExperimentOptions } from "../options.ts";

/**
 * Whether a search can tell which trials count, on questions that the report does not use.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`
 */
export function checkSearch({ attack: { search }, evaluate, utilityBound, overRefusalBound }: ExperimentOptions): void {
  if (search === undefined) return;
  for (const set of ["harmful", "harmless", "task"] as const) {
    const asked = search[set];
    if (asked === undefined || JSON.stringify(asked) !== JSON.stringify(evaluate[set])) continue;
    throw new BoosterError("OPTIONS_CONFLICT", "a search judges its trials by questions of the report", {
      found: asked.path,
      where: `attack.search.${set}`,
      hint: "Give it other questions: what is chosen by the report's own looks worse than it is.",
    });
  }
  const needed = [
    ...(utilityBound !== undefined && search.task === undefined ? ["task"] : []),
    ...(overRefusalBound !== undefined && search.harmless === undefined ? ["harmless"] : []),
  ];
  if (needed.length === 0) return;
  throw new BoosterError("OPTIONS_CONFLICT", "a search cannot tell which of its trials count", {
    expected: needed.map((set) => `attack.search.${set}`).join(" and "),
    where: "attack.search",
    hint: "A bound of the experiment is about these questions.",
  });
}
