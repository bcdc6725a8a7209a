import { z } from "zod";
import { BaseWish } from "../../service/pipeline/add-base.ts";
import { defineCommand } from "../command.ts";
import { BaseRow, baseTable, finished } from "../service-bases.ts";
import { askService, ServiceOptions } from "../service-client.ts";

/** `booster bases add` */
export const command = defineCommand({
  details: `Has a running server make a base of a model: of one that is aligned already, or with --align.method of one that it aligns itself, on the
data of a policy. Jobs may start from it once a policy lists it under bases (booster policy set); requests may name it at once.`,
  examples: [
    "booster bases add smollm --model hf:HuggingFaceTB/SmolLM2-135M-Instruct  # as it is",
    "booster bases add hard --model /srv/models/base --align.method booster --align.policy team-a  # aligned here",
  ],
  options: z.strictObject({ ...ServiceOptions.shape, ...BaseWish.shape }),
  positional: ["name"],
  async run({ server, keyFile, ...wish }, { output }) {
    const options = { server, keyFile };
    await askService(options, "/v1/booster/bases", BaseRow, { method: "POST", body: wish });
    const base = await finished(options, wish.name, (event) => output.progress.show(event));
    output.result(base, () => baseTable([base]));
  },
});
