import { decisionCommand } from "../service-reviews.ts";

/** `booster reviews release` */
export const command = decisionCommand(
  "released",
  "Releases a held job, on the report that was read.",
  "booster reviews release ftjob-abc --report 3f0c... --reason 'the flagged rows are counter-speech'  # the report's SHA-256: booster reviews show",
);
