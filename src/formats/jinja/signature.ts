import { fault, type Kwargs, type Value } from "./values.ts";

/** A function of the language: its parameters by name, `*` for as many as are given, and what it does. */
export interface Native<Self extends readonly unknown[]> {
  readonly parameters: readonly string[];
  readonly run: (...all: [...Self, ...args: (Value | undefined)[]]) => Value;
}

export const native = <Self extends readonly unknown[]>(
  parameters: string,
  run: Native<Self>["run"],
): Native<Self> => ({ parameters: parameters === "" ? [] : parameters.split(" "), run });

/** Arguments in the order of the parameters. @throws {TemplateFault} where they do not fit */
export function bind(
  name: string,
  parameters: readonly string[],
  args: readonly Value[],
  kwargs: Kwargs,
): (Value | undefined)[] {
  if (parameters[0] === "*") return [...args];
  if (args.length > parameters.length) throw fault(`${name}() takes at most ${parameters.length} arguments`);
  const bound: (Value | undefined)[] = [...args];
  for (const [key, value] of kwargs) {
    const place = parameters.indexOf(key);
    if (place < 0 || place < args.length) throw fault(`${name}() got an unexpected argument '${key}'`);
    bound[place] = value;
  }
  return Array.from(parameters, (_, place) => bound[place]);
}
