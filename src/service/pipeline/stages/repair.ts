import { cpSync } from "node:fs";
import { choose } from "../../../choice.ts";
import { TRANSFORMS } from "../../../methods/registry.ts";
import { repair as repairAdapter } from "../../../stages/repair.ts";
import { readBase } from "../base.ts";
import { policyOf, treatmentOf } from "../policy.ts";
import { adapterFiles, asSource, PLACES, type StageFunction, setPlace } from "./stage.ts";

/** The repairs of the policy and of the job, one after the other, each on what came out of the one before. */
export const repair: StageFunction = async ({ spec }, context) => {
  const policy = policyOf(spec.policy.body);
  const repairs = treatmentOf(policy, spec.booster).repair;
  const { card } = await readBase(PLACES.base);
  let adapter: string = PLACES.adapter;
  const reports = [];
  for (const [i, method] of repairs.entries()) {
    const { needs } = choose(TRANSFORMS, method as never) as { readonly needs: readonly ("harmful" | "alignment")[] };
    const made = await repairAdapter(
      {
        run: `repair-${i}`,
        model: PLACES.base,
        adapters: [adapter],
        method: method as { name: "shrink" },
        template: card.template,
        seed: spec.seed,
        threads: spec.threads,
        ...Object.fromEntries(needs.map((use) => [use, asSource(setPlace(`data/${use}`))])),
      },
      context,
    );
    adapter = `repaired-${i}`;
    cpSync(made.adapter, adapter, { recursive: true });
    reports.push(made.report);
  }
  return { facts: { repairs: JSON.parse(JSON.stringify(reports)) }, files: adapterFiles(adapter) };
};
