import { decisionCommand } from "../service-reviews.ts";

/** `booster reviews reject` */
export const command = decisionCommand(
  "rejected",
  "Rejects a held job, on the report that was read.",
  "booster reviews reject ftjob-abc --report 3f0c... --reason 'the flagged rows are instructions'  # the report's SHA-256: booster reviews show",
);
