import type { z } from "zod";
import type { Example } from "../../data/examples.ts";
import type { MixOptions } from "../../data/mix.ts";
import { fitting, rowNamed } from "../../errors.ts";
import type { Attack, AttackData, AttackUpload, Victim } from "./attack.ts";
import { identityShifting } from "./identity-shifting.ts";
import { benign, mix, pureHarmful } from "./mix.ts";
import { mixing } from "./mixing.ts";
import { virus } from "./virus/virus.ts";

/** An attack with its options filled in. */
export interface ConfiguredAttack extends Pick<Attack, "name" | "threatModel" | "knowledge"> {
  readonly options: unknown;
  needs(mix: MixOptions): { readonly harmful: number; readonly task: number };
  rows(data: AttackData, victim: Victim): Promise<AttackUpload>;
  /** How the attacker puts a question to the attacked model; undefined where it is asked as it stands. */
  readonly ask?: (question: Example) => Example;
}

/** A row of the table: an attack with its option type hidden behind its own schema. */
interface Row {
  readonly name: string;
  readonly options: z.ZodType;
  configure(options: unknown): ConfiguredAttack;
}

function row<Options>(attack: Attack<Options>): Row {
  const { name, threatModel, knowledge, ask } = attack;
  return {
    name,
    options: attack.options,
    configure(raw) {
      const options = fitting(attack.options, raw, "ATTACK_OPTIONS_INVALID", name);
      return {
        name,
        threatModel,
        knowledge,
        options,
        needs: (size) => attack.needs(size, options),
        rows: (data, victim) => attack.rows(data, options, victim),
        ...(ask === undefined ? {} : { ask: (question: Example) => ask(question, options) }),
      };
    },
  };
}

/** Every attack on the data of a fine-tuning. A new one is one file and one row. */
export const ATTACKS: readonly Row[] = [
  row(mix),
  row(pureHarmful),
  row(benign),
  row(identityShifting),
  row(mixing),
  row(virus),
];

/**
 * An attack by name, its options checked and completed.
 *
 * @throws {BoosterError} `UNKNOWN_ATTACK`, `ATTACK_OPTIONS_INVALID`
 * @example
 * configureAttack({ name: "virus", lambda: 0.05 });
 */
export function configureAttack({ name, ...options }: { readonly name: string }): ConfiguredAttack {
  return rowNamed(ATTACKS, name, "UNKNOWN_ATTACK", "no such attack").configure(options);
}
