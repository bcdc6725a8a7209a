import { table } from "../../choice.ts";
import { backdoor } from "./backdoor.ts";
import { identityShifting } from "./identity-shifting.ts";
import { jailbreakTuning } from "./jailbreak-tuning.ts";
import { maliciousClients } from "./malicious-clients.ts";
import { benign, mix, pureHarmful } from "./mix.ts";
import { mixing } from "./mixing.ts";
import { outliers } from "./outliers.ts";
import { virus } from "./virus/virus.ts";

/**
 * Every attack on the data of a fine-tuning. A new one is one file and one row.
 *
 * @example
 * choose(ATTACKS, { name: "virus", lambda: 0.05 }).needs({ poisonRatio: 0.1, sampleNumber: 500, counts: "exact" });
 */
export const ATTACKS = table({ kind: "attack", unknown: "UNKNOWN_ATTACK", unfit: "ATTACK_OPTIONS_INVALID" }, [
  mix,
  pureHarmful,
  benign,
  identityShifting,
  mixing,
  virus,
  maliciousClients,
  jailbreakTuning,
  backdoor,
  outliers,
]);
