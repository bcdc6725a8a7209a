import type { z } from "zod";
import type { ConfigFile } from "./config-file.ts";
import type { Output } from "./output.ts";

/** What a command gets besides its options. */
export interface CommandContext {
  readonly output: Output;
  /** The command as it was typed, for messages that say how to go on. */
  readonly typed: string;
  /** What the process shall exit with, where that is not 0: the convention's code after a signal. */
  exitWith(code: number): void;
}

/** Where options may come from beside a configuration file: flags that stand for one. */
export interface OptionSource<S extends z.ZodObject = z.ZodObject> {
  readonly options: S;
  /** The file that they stand for; undefined where none was given. */
  read(given: z.output<S>): ConfigFile | undefined;
  /** Makes what the options speak of, before the command runs. */
  prepare(given: z.output<S>, options: unknown): void;
}

/** A command: its options are one schema, from which flags, help, YAML keys and JSON Schema come. */
export interface CommandSpec<S extends z.ZodType = z.ZodType> {
  /** What it does and writes, in a few lines. */
  readonly details: string;
  /** Command lines, each with what it is good for behind a `#`. */
  readonly examples: readonly string[];
  readonly options: S;
  /** Options that can also be given without their flag, in this order. */
  readonly positional?: readonly string[];
  /** Settings of what is chosen by name have no flags: they stand in the configuration file alone. */
  readonly settingsInFile?: true;
  readonly source?: OptionSource;
  /** By group, the names that help and completion list, where these are not all that the command takes. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
  run(options: z.output<S>, context: CommandContext): Promise<void>;
}

/** Ties `read` and `prepare` to the schema's type. */
export const defineSource = <S extends z.ZodObject>(source: OptionSource<S>): OptionSource =>
  source as unknown as OptionSource;

/** Ties `run` to the schema's type; the caller forgets it again. */
export const defineCommand = <S extends z.ZodType>(spec: CommandSpec<S>): CommandSpec => spec as CommandSpec;
