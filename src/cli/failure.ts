import { CommanderError } from "commander";
import { BoosterError } from "../errors.ts";

/** Codes that say the command was called wrongly: exit code 2. */
const USAGE = new Set([
  "UNKNOWN_OPTION",
  "UNKNOWN_COMMAND",
  "OPTION_MISSING",
  "OPTION_VALUE_MISSING",
  "TOO_MANY_ARGUMENTS",
  "USAGE",
  "CONFIG_INVALID",
  "CONFIG_SYNTAX",
  "CONFIG_NOT_READ",
  "CONFIG_TOO_LARGE",
  "OPTIONS_INVALID",
  "METHOD_OPTIONS_INVALID",
  "UNKNOWN_METHOD",
  "TRANSFORM_OPTIONS_INVALID",
  "UNKNOWN_TRANSFORM",
  "ATTACK_OPTIONS_INVALID",
  "UNKNOWN_ATTACK",
  "OPTIMIZER_OPTIONS_INVALID",
  "UNKNOWN_OPTIMIZER",
  "MODERATOR_SETTINGS",
  "MODERATOR_UNKNOWN",
  "TASK_METRIC_MISSING",
  "TASK_METRIC_UNKNOWN",
  "OPTIONS_CONFLICT",
  "DATA_MISSING",
]);

const COMMANDER_CODES: Readonly<Record<string, string>> = {
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

/** Any error as the project's own; one that nobody foresaw keeps its stack. */
export function asBoosterError(error: unknown): BoosterError {
  if (error instanceof BoosterError) return error;
  if (error instanceof CommanderError) return fromCommander(error);
  return new BoosterError("INTERNAL", error instanceof Error ? (error.stack ?? error.message) : String(error), {
    hint: "This is a defect of the program: please report it with this message",
  });
}

/** 2 where the call was wrong, 1 where the work failed. */
export const exitCodeOf = (error: BoosterError): number => (USAGE.has(error.code) ? 2 : 1);

/** An error as the last JSON line of a command. */
export function failureJson({ code, message, problem, details }: BoosterError): string {
  const { expected, found, where, hint } = details;
  return JSON.stringify({ error: { code, message, problem, expected, found, where, hint } });
}
