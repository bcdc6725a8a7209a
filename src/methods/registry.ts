import { table } from "../choice.ts";
import { bfpo } from "./alignment/bfpo.ts";
import { booster } from "./alignment/booster.ts";
import { boosterVaccine } from "./alignment/booster-vaccine.ts";
import { deepAlignment } from "./alignment/deep-alignment.ts";
import { lox } from "./alignment/lox.ts";
import { repnoise } from "./alignment/repnoise.ts";
import { rsnTune, snTune } from "./alignment/safety-neurons/safety-neurons.ts";
import { sdd } from "./alignment/sdd.ts";
import { sft } from "./alignment/sft.ts";
import { tVaccine } from "./alignment/t-vaccine.ts";
import { tar } from "./alignment/tar/tar.ts";
import { unitedAlignment } from "./alignment/united-alignment.ts";
import { vaccine } from "./alignment/vaccine.ts";
import { constrainedSft } from "./finetuning/constrained-sft.ts";
import { ewc } from "./finetuning/ewc.ts";
import { fedit } from "./finetuning/fedit/fedit.ts";
import { kl } from "./finetuning/kl.ts";
import { ldifs } from "./finetuning/ldifs.ts";
import { lisa } from "./finetuning/lisa.ts";
import { lookahead } from "./finetuning/lookahead.ts";
import { mlLr } from "./finetuning/ml-lr/ml-lr.ts";
import { panacea } from "./finetuning/panacea.ts";
import { paraphrase } from "./finetuning/paraphrase.ts";
import { safeGrad } from "./finetuning/safe-grad.ts";
import { safeinstr } from "./finetuning/safeinstr.ts";
import { safetyLayers } from "./finetuning/safety-layers/safety-layers.ts";
import { salora } from "./finetuning/salora/salora.ts";
import { seal } from "./finetuning/seal/seal.ts";
import { surgery } from "./finetuning/surgery.ts";
import { united } from "./finetuning/united.ts";
import { vlguard } from "./finetuning/vlguard.ts";
import { antidote } from "./postfinetuning/antidote.ts";
import { nlsr } from "./postfinetuning/nlsr.ts";
import { noise } from "./postfinetuning/noise.ts";
import { safeDelta } from "./postfinetuning/safe-delta.ts";
import { safelora } from "./postfinetuning/safelora.ts";
import { safemerge } from "./postfinetuning/safemerge.ts";
import { shrink } from "./postfinetuning/shrink.ts";

/**
 * Every training method. A new one is one file and one row.
 *
 * @example
 * choose(METHODS, { name: "booster", lambda: 5 }).passes; // { forward: 3, backward: 3 }
 */
export const METHODS = table({ kind: "method", unknown: "UNKNOWN_METHOD", unfit: "METHOD_OPTIONS_INVALID" }, [
  sft,
  booster,
  vaccine,
  boosterVaccine,
  tVaccine,
  repnoise,
  deepAlignment,
  unitedAlignment,
  bfpo,
  sdd,
  united,
  lisa,
  ldifs,
  ewc,
  kl,
  vlguard,
  safeinstr,
  panacea,
  tar,
  constrainedSft,
  seal,
  snTune,
  rsnTune,
  safetyLayers,
  salora,
  mlLr,
  paraphrase,
  lookahead,
  safeGrad,
  surgery,
  fedit,
]);

/**
 * Every transform of an adapter. A new one is one file and one row.
 *
 * @example
 * choose(TRANSFORMS, { name: "antidote", denseRatio: 0.05 }).needs; // ["harmful"]
 */
export const TRANSFORMS = table(
  { kind: "repair of an adapter", unknown: "UNKNOWN_TRANSFORM", unfit: "TRANSFORM_OPTIONS_INVALID" },
  [lox, antidote, safelora, safemerge, safeDelta, nlsr, shrink, noise],
);

/** Everything that an experiment's method may be made of. */
export const DEFENCES = table({ kind: "method", unknown: "UNKNOWN_METHOD", unfit: "METHOD_OPTIONS_INVALID" }, [
  ...METHODS.rows,
  ...TRANSFORMS.rows,
]);
