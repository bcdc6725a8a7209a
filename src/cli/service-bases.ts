import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { Event } from "../train/event.ts";
import { columns } from "./output.ts";
import { askService, type ServiceOptions } from "./service-client.ts";

const Rate = z.object({ percent: z.number(), low: z.number(), high: z.number(), total: z.number() });
/** A base as the server tells it. */
export const BaseRow = z.object({
  id: z.string(),
  identity: z.string().nullable(),
  state: z.string(),
  serving: z.string(),
  doing: z.string().nullable(),
  problem: z.string().nullable(),
  facts: z.object({ hs: Rate.optional(), overRefusal: Rate.optional() }),
});
type BaseRow = z.output<typeof BaseRow>;

const share = (rate: z.output<typeof Rate> | undefined): string =>
  rate === undefined
    ? ""
    : `${rate.percent.toFixed(1)} % (${rate.low.toFixed(1)} to ${rate.high.toFixed(1)}, n = ${rate.total})`;

export const baseTable = (bases: readonly BaseRow[]): string =>
  columns([
    ["base", "state", "served", "harmful score", "over-refusal", "identity", ""],
    ...bases.map(({ id, state, serving, doing, problem, facts, identity }) => [
      id,
      state,
      serving,
      share(facts.hs),
      share(facts.overRefusal),
      identity?.slice(0, 12) ?? "",
      problem ?? doing ?? "",
    ]),
  ]);

/** All bases of a server, with those that are being made. */
export const basesOf = async (options: z.output<typeof ServiceOptions>): Promise<BaseRow[]> =>
  (await askService(options, "/v1/booster/bases", z.object({ data: z.array(BaseRow) }))).data;

/** Between two looks at what a server does with a base. */
const LOOK_MS = 1000;

/**
 * Waits until a server is done with a base, telling what it does.
 *
 * @throws {BoosterError} `SERVICE_REFUSED` where it came to nothing
 */
export async function finished(
  options: z.output<typeof ServiceOptions>,
  name: string,
  show: (event: Event) => void,
): Promise<BaseRow> {
  for (let told = ""; ; await sleep(LOOK_MS)) {
    const all = await basesOf(options);
    const base = all.find(({ id }) => id === name);
    if (base?.problem == null && base?.doing == null) {
      if (base !== undefined) return base;
      throw new BoosterError("SERVICE_REFUSED", "the server knows no more of this base", { where: options.server });
    }
    if (base.problem !== null) throw new BoosterError("SERVICE_REFUSED", base.problem, { where: options.server });
    if (base.doing !== null && base.doing !== told) show({ type: "work", text: base.doing });
    told = base.doing ?? "";
  }
}
