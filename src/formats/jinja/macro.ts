import type { Parameter } from "./ast.ts";
import { evaluate } from "./evaluate.ts";
import type { Scope } from "./scope.ts";
import { Dict, fault, type Kwargs, Tuple, text, Undefined, type Value } from "./values.ts";

/** Gives the parameters of a macro their values; what is left over are `varargs` and `kwargs`. @throws {TemplateFault} */
export function bindMacro(
  name: string,
  parameters: readonly Parameter[],
  args: readonly Value[],
  kwargs: Kwargs,
  scope: Scope,
): void {
  const rest = new Map(kwargs);
  for (const [place, parameter] of parameters.entries()) {
    const given = place < args.length ? args[place] : rest.get(parameter.name);
    if (place < args.length && rest.has(parameter.name)) throw fault(`macro '${name}' got '${parameter.name}' twice`);
    rest.delete(parameter.name);
    const otherwise = () =>
      parameter.value === undefined
        ? new Undefined(`parameter '${parameter.name}' was not provided`)
        : evaluate(parameter.value, scope);
    scope.set(parameter.name, given === undefined ? otherwise() : given);
  }
  scope.set("caller", rest.get("caller") ?? new Undefined("No caller defined"));
  rest.delete("caller");
  scope.set("varargs", new Tuple(args.slice(parameters.length)));
  scope.set("kwargs", new Dict([...rest].map(([key, value]) => [text(key), value] as const)));
}
