import { existsSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { askAll, ServiceOptions } from "../service-client.ts";

const Entry = z.looseObject({ id: z.string() });

/** `booster audit export` */
export const command = defineCommand({
  details: `Writes the audit log of a running server into a file, a line of JSON each, oldest first, with the hashes that chain them. For keeping it elsewhere:
what was exported cannot be changed on the server without being found out.`,
  examples: ["booster audit export --to audit.jsonl  # all of it"],
  options: z.strictObject({ ...ServiceOptions.shape, to: z.string().min(1).describe("New file") }),
  async run({ to, ...options }, { output }) {
    if (existsSync(to)) throw new BoosterError("RUN_EXISTS", "the file is there already", { where: to });
    const entries = await askAll(options, "/v1/booster/audit_logs?order=asc", Entry);
    writeFileSync(to, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""), { flag: "wx" });
    output.result({ to, entries: entries.length }, () => `${entries.length} entries written to ${to}`);
  },
});
