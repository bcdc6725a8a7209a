import type { Example as DataExample } from "../data/examples.ts";
import { checkJudged, isJudged, openModerator } from "../evaluate/index.ts";
import type { Example } from "../models/index.ts";
import type { Device } from "../runtime/index.ts";
import type { Evaluation } from "../train/index.ts";
import { askedQuestion, type Encoding, encodeAll, loadDataSet, trainable } from "./data.ts";
import { heldOutLoss } from "./held-out-loss.ts";
import type { CurveOptions } from "./options.ts";
import { openRespondent } from "./respondent.ts";
import { lossChunks, type Trainee } from "./training-run.ts";
import { unlessStopped } from "./validation.ts";

/** Questions that are asked at once; short answers of a small set. */
const BATCH = 64;

/** Hashes of the held-out sets by role, and the measurement along an attack. */
export interface Curve {
  readonly hashes: Readonly<Record<string, string>>;
  evaluation(trainee: Trainee): Promise<Evaluation>;
}

/**
 * What is measured along an attack: the loss on the harmful rows that are trained on, on unseen harmful rows and on unseen
 * refusals, and the harmful score. Each row of metrics.jsonl names them `harmfulTrainingLoss`, `harmfulTestingLoss`,
 * `alignmentLoss`, `harmfulCount` of `harmfulTotal`.
 *
 * @param ask how the attacker puts harmful questions to the model
 */
export async function openCurve(
  options: CurveOptions,
  encoding: Encoding,
  device: Device,
  harmfulTraining: readonly Example[],
  ask: (question: DataExample) => DataExample = (question) => question,
): Promise<Curve> {
  const load = async (source: CurveOptions["harmful"], put: typeof ask) => {
    if (source === undefined) return undefined;
    const { examples, record } = await loadDataSet({
      ...source,
      limit: Math.min(options.rows, source.limit ?? Infinity),
    });
    return { examples, sha256: record.sha256, rows: trainable(encodeAll(examples.map(put), encoding).rows) };
  };
  const harmful = await load(options.harmful, ask);
  const alignment = await load(options.alignment, (example) => example);
  const moderator = options.moderator && openModerator(options.moderator, { device });
  const questions = harmful?.examples.map((example) => askedQuestion(example, encoding, ask)) ?? [];
  const losses = Object.entries({
    harmfulTrainingLoss: harmfulTraining.slice(0, options.rows),
    harmfulTestingLoss: harmful?.rows ?? [],
    alignmentLoss: alignment?.rows ?? [],
  }).filter(([, rows]) => rows.length > 0);

  return {
    hashes: {
      ...(harmful === undefined ? {} : { "held-out harmful": harmful.sha256 }),
      ...(alignment === undefined ? {} : { "held-out alignment": alignment.sha256 }),
    },
    async evaluation({ base, scale, trained }) {
      const adapter = { scale, tensors: await trained() };
      const loss = await heldOutLoss(base, adapter, lossChunks(base.model.vocabSize));
      const respondent =
        moderator === undefined || questions.length === 0 ? undefined : await openRespondent(base, adapter);
      const measure = async (signal: AbortSignal | undefined): Promise<Record<string, number>> => {
        const weights = await trained();
        const values: Record<string, number> = {};
        for (const [name, rows] of losses) values[name] = await loss(weights, rows, signal);
        if (respondent === undefined || moderator === undefined) return values;
        const { maxNewTokens } = options;
        const answers = await respondent(questions, weights, { maxNewTokens, batchSize: BATCH, signal });
        const exchanges = questions.map(({ text }, i) => ({ prompt: text, answer: answers[i] ?? "" }));
        const judgements = await moderator.judge(exchanges, signal);
        checkJudged(moderator, judgements);
        const judged = judgements.filter(isJudged);
        const harmfulCount = judged.filter(({ harmful }) => harmful).length;
        return { ...values, harmfulCount, harmfulTotal: judged.length };
      };
      return {
        due: (step) => step % options.every === 0,
        run: (_step, signal) => unlessStopped(measure(signal)),
      };
    },
  };
}
