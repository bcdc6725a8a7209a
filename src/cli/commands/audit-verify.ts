import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";

const Checked = z.object({ entries: z.number(), seals: z.number(), fault: z.string().nullable() });

/** `booster audit verify` */
export const command = defineCommand({
  details: "Has a running server compute the whole chain of its audit log again, with the signatures that seal it.",
  examples: ["booster audit verify  # ends with an error where an entry was changed, removed or put in"],
  options: ServiceOptions,
  async run(options, { output }) {
    const checked = await askService(options, "/v1/booster/audit_logs/verify", Checked, { method: "POST", body: {} });
    if (checked.fault !== null) {
      throw new BoosterError("SEAL_BROKEN", "the audit log is not what was written", {
        found: checked.fault,
        where: options.server,
        hint: "Compare it with the last backup.",
      });
    }
    output.result(checked, () => `${checked.entries} entries and ${checked.seals} seals are as they were written`);
  },
});
