import type { CommanderError } from "commander";
import type { ErrorCode } from "../error-codes.ts";
import { BoosterError } from "../errors.ts";

const COMMANDER_CODES: Readonly<Record<string, ErrorCode>> = {
  "commander.unknownOption": "UNKNOWN_OPTION",
  "commander.unknownCommand": "UNKNOWN_COMMAND",
  "commander.optionMissingArgument": "OPTION_VALUE_MISSING",
  "commander.excessArguments": "TOO_MANY_ARGUMENTS",
};

/** What commander has to say in our words, with our codes. */
export function fromCommander(error: CommanderError): BoosterError {
  const message = error.message.replace(/^error: /, "").replace(/\n\((.*)\)$/, ". $1");
  return new BoosterError(COMMANDER_CODES[error.code] ?? "USAGE", message, { cause: error });
}

/** 2 where the call was wrong, 1 where the work failed. */
export const exitCodeOf = (error: BoosterError): number => (error.kind === "usage" ? 2 : 1);

/** An error as the last JSON line of a command. */
export function failureJson({ code, kind, message, problem, details }: BoosterError): string {
  const { expected, found, where, hint } = details;
  return JSON.stringify({ error: { code, kind, message, problem, expected, found, where, hint } });
}
