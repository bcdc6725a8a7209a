import { z } from "zod";
import { type Choice, choice, table } from "../choice.ts";
import { checkJudged, type Exchange, isJudged, MODERATORS, openModerator } from "../evaluate/index.ts";
import {
  type AttackRow,
  guardTokens,
  type KnownGuard,
  type Piece,
  trainToyGuard,
  type Victim,
} from "../methods/attacks/index.ts";
import { exchangesOf } from "./data.ts";

/** Reads an upload before any training. */
export interface Guard {
  readonly name: string;
  /** Its model, where somebody can know it. */
  readonly known?: () => Promise<KnownGuard>;
  /** True for each row that it flags. */
  flags(rows: readonly AttackRow[]): Promise<boolean[]>;
}

type OpenGuard = (victim: Victim, signal?: AbortSignal) => Guard;

/** The guard that the Virus attack is tried on: it reads tokens. */
const toyGuard = choice({
  name: "toy-guard",
  options: z.strictObject({}),
  create: (): OpenGuard => (victim) => {
    const encode: Victim["encode"] = (example) => victim.encode(example);
    const guard = trainToyGuard(encode, victim.base.model.vocabSize);
    return { name: "toy-guard", flags: async (rows) => rows.map((row) => guard.flags(guardTokens(row, encode))) };
  },
});

/** A moderator as a guard: it reads each piece of a row as a text. */
const moderating = <Row extends Choice>({ name, options }: Row): Choice<Row["name"], Row["options"], OpenGuard> => ({
  name,
  options,
  create: (settings) => (victim, signal) => {
    const moderator = openModerator({ ...settings, name }, { device: victim.base.device });
    const { open } = moderator;
    return {
      name,
      ...(open && {
        async known() {
          const { classifier, encode } = await open();
          return { classifier, encode: (text: string) => encode(asExchange(text)) };
        },
      }),
      async flags(rows) {
        const pieces = rows.flatMap((row, place) =>
          row.pieces.flatMap((piece) => readAs(piece, victim).map((exchange) => ({ place, ...exchange }))),
        );
        const judgements = await moderator.judge(pieces, signal);
        checkJudged(moderator, judgements);
        // What could not be judged is not let through.
        const flags = judgements.map((judgement) => !isJudged(judgement) || judgement.harmful);
        const flagged = new Set(pieces.filter((_, at) => flags[at]).map(({ place }) => place));
        return rows.map((_, place) => flagged.has(place));
      },
    };
  },
});

/** Each moderator keeps its own settings. */
type Guarding<Row extends Choice> = Row extends Choice ? Choice<Row["name"], Row["options"], OpenGuard> : never;

/** Every guard of uploads: one that reads tokens, and every moderator. */
export const GUARDS = table({ kind: "guard", unknown: "MODERATOR_UNKNOWN", unfit: "MODERATOR_SETTINGS" }, [
  toyGuard,
  ...(MODERATORS.rows.map(moderating) as Guarding<(typeof MODERATORS.rows)[number]>[]),
]);

/** A piece as a moderator reads it, each answer for itself; bare tokens are read as a whole. */
function readAs(piece: Piece, { base: { tokenizer } }: Victim): Exchange[] {
  if ("example" in piece) return exchangesOf(piece.example);
  return [asExchange(tokenizer.decode(piece.ids, { skipSpecial: true }))];
}

/** A text of which nobody says who says what. */
const asExchange = (text: string): Exchange => ({ prompt: text, answer: text });
