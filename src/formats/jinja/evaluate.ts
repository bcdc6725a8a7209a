import { attributeOf, itemOf, sliceOf } from "./access.ts";
import { operate } from "./arithmetic.ts";
import type { Arguments, Expression } from "./ast.ts";
import type { Library } from "./filter.ts";
import { FILTERS } from "./filters.ts";
import { spend } from "./limits.ts";
import { like } from "./markup.ts";
import { print } from "./print.ts";
import type { Scope } from "./scope.ts";
import { bind } from "./signature.ts";
import { compares, TESTS } from "./tests.ts";
import { Markup, Text } from "./text.ts";
import {
  Dict,
  defined,
  Func,
  fault,
  integerOf,
  iterate,
  type Kwargs,
  List,
  spendOn,
  str,
  Tuple,
  truthy,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Filters that leave HTML what it is; others give plain strings. */
const KEEPING = [
  ...["e", "escape", "safe", "string", "default", "d", "attr", "upper", "lower", "capitalize"],
  ...["trim", "center", "indent", "truncate", "reverse"],
];

export const LIBRARY: Library = {
  filter(name, value, args, kwargs) {
    const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
    if (filter === undefined) throw fault(`no filter named '${name}'`);
    spendOn(value);
    if (!(value instanceof Markup)) return filter(value, args, kwargs, LIBRARY);
    if (name === "format") throw fault("the filter format of a text that safe or e made is not supported");
    const keeps = KEEPING.includes(name);
    const made = filter(keeps ? value : new Text(value.text, value.runs), args, kwargs, LIBRARY);
    return keeps ? like(value, made) : made;
  },
  test(name, value, args, kwargs) {
    const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
    if (test === undefined && !(name === "filter" || name === "test")) throw fault(`no test named '${name}'`);
    spendOn(value);
    if (test === undefined) return Object.hasOwn(name === "filter" ? FILTERS : TESTS, str(value).text);
    return truthy(test.run(value, ...bind(name, test.parameters, args, kwargs)));
  },
};

function argumentsOf(args: Arguments, scope: Scope): { args: Value[]; kwargs: Map<string, Value> } {
  const [list, named]: [Value[], Map<string, Value>] = [[], new Map()];
  for (const { name, value: expression } of args) {
    const value = evaluate(expression, scope);
    if (name === undefined) list.push(value);
    else if (name === "*") list.push(...iterate(value));
    else if (name === "**") {
      if (!(value instanceof Dict)) throw fault("argument after ** must be a mapping");
      for (const [key, one] of value.pairs()) named.set(str(key).text, one);
    } else named.set(name, value);
  }
  return { args: list, kwargs: named };
}

/** Calls a function of the template's or of the language. @throws {TemplateFault} where it is none */
export function call(callee: Value, args: readonly Value[], kwargs: Kwargs): Value {
  if (callee instanceof Func) return callee.call(args, kwargs);
  throw fault(`'${typeName(defined(callee))}' object is not callable`);
}

function negate(value: Value): Value {
  if (typeof value === "number") return -value;
  const integer = integerOf(value);
  if (integer === undefined) throw fault(`bad operand type for unary -: '${typeName(defined(value))}'`);
  return -integer;
}

/** A filter's result, its input `value` given where it stands in front of a block. */
export function filtered(expression: Extract<Expression, { kind: "filter" }>, scope: Scope, input?: Value): Value {
  const inner = expression.value;
  let value = input ?? null;
  if (inner !== undefined) value = inner.kind === "filter" ? filtered(inner, scope, input) : evaluate(inner, scope);
  const { args, kwargs } = argumentsOf(expression.args, scope);
  return LIBRARY.filter(expression.name, value, args, kwargs);
}

/**
 * The value of an expression.
 *
 * @throws {TemplateFault} as Python and Jinja throw
 */
export function evaluate(expression: Expression, scope: Scope): Value {
  spend(1);
  switch (expression.kind) {
    case "const":
      return expression.value;
    case "name":
      return scope.get(expression.name);
    case "list":
      return new List(expression.items.map((item) => evaluate(item, scope)));
    case "tuple":
      return new Tuple(expression.items.map((item) => evaluate(item, scope)));
    case "dict":
      return new Dict(expression.pairs.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)] as const));
    case "attribute":
      return attributeOf(evaluate(expression.object, scope), expression.name);
    case "item":
      return itemOf(evaluate(expression.object, scope), evaluate(expression.key, scope));
    case "slice": {
      const bounds = expression.bounds.map((bound) => (bound === undefined ? undefined : evaluate(bound, scope)));
      return sliceOf(evaluate(expression.object, scope), bounds);
    }
    case "call": {
      const callee = evaluate(expression.callee, scope);
      const { args, kwargs } = argumentsOf(expression.args, scope);
      return call(callee, args, kwargs);
    }
    case "filter":
      return filtered(expression, scope);
    case "test": {
      const value = evaluate(expression.value, scope);
      const { args, kwargs } = argumentsOf(expression.args, scope);
      return LIBRARY.test(expression.name, value, args, kwargs);
    }
    case "unary": {
      const value = evaluate(expression.value, scope);
      if (expression.sign === "not") return !truthy(value);
      return expression.sign === "-" ? negate(value) : negate(negate(value));
    }
    case "binary":
      return operate(expression.sign, evaluate(expression.left, scope), evaluate(expression.right, scope));
    case "logic": {
      const left = evaluate(expression.left, scope);
      return truthy(left) === (expression.sign === "or") ? left : evaluate(expression.right, scope);
    }
    case "concat":
      return Text.join(expression.parts.map((part) => print(evaluate(part, scope))));
    case "compare": {
      let left = evaluate(expression.first, scope);
      return expression.rest.every(({ sign, value }) => {
        const right = evaluate(value, scope);
        const holds = compares(left, sign, right);
        left = right;
        return holds;
      });
    }
    case "if":
      if (truthy(evaluate(expression.test, scope))) return evaluate(expression.value, scope);
      if (expression.otherwise !== undefined) return evaluate(expression.otherwise, scope);
      return new Undefined("the inline if-expression evaluated to false and no else section was defined.");
  }
}
