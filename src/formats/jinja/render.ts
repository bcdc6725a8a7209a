import type { Body, Parameter, Statement, Target } from "./ast.ts";
import { evaluate, filtered } from "./evaluate.ts";
import { GLOBALS } from "./globals.ts";
import { MAX_DEPTH, spend } from "./limits.ts";
import { bindMacro } from "./macro.ts";
import { print } from "./print.ts";
import { Scope } from "./scope.ts";
import { GENERATED, Text } from "./text.ts";
import { equal, Func, fault, iterate, Namespace, orElse, Tuple, truthy, Undefined, type Value } from "./values.ts";

/** Ends an iteration early. */
type Leaving = "break" | "continue" | undefined;

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.kind === "name") scope.set(target.name, value);
  else if (target.kind === "attribute") {
    const namespace = scope.get(target.namespace);
    if (!(namespace instanceof Namespace)) throw fault("cannot assign attribute on non-namespace object");
    if (target.name.startsWith("_")) throw fault("attributes of a namespace do not begin with an underscore");
    namespace.attributes.set(target.name, value);
  } else {
    const values = iterate(value);
    if (values.length !== target.items.length) throw fault(`${values.length} values for ${target.items.length} names`);
    for (const [place, item] of target.items.entries()) assign(item, values[place] as Value, scope);
  }
}

class Renderer {
  private depth = 0;

  /** What a body writes. */
  text(body: Body, scope: Scope): Text {
    const out: Text[] = [];
    this.run(body, scope, out);
    return Text.join(out);
  }

  run(body: Body, scope: Scope, out: Text[]): Leaving {
    for (const statement of body) {
      spend(1);
      const leaving = this.execute(statement, scope, out);
      if (leaving !== undefined) return leaving;
    }
    return undefined;
  }

  private execute(statement: Statement, scope: Scope, out: Text[]): Leaving {
    switch (statement.kind) {
      case "data":
        out.push(new Text(statement.text));
        return undefined;
      case "print":
        out.push(print(evaluate(statement.value, scope)));
        return undefined;
      case "if": {
        const taken = statement.branches.find(({ test }) => truthy(evaluate(test, scope)));
        return this.run(taken?.body ?? statement.otherwise, scope, out);
      }
      case "for":
        this.loop(statement, evaluate(statement.over, scope), scope, out, 0);
        return undefined;
      case "set":
        assign(statement.target, evaluate(statement.value, scope), scope);
        return undefined;
      case "set-block": {
        const written = this.text(statement.body, new Scope(scope));
        const { filter } = statement;
        assign(statement.target, filter?.kind === "filter" ? filtered(filter, scope, written) : written, scope);
        return undefined;
      }
      case "macro":
        scope.set(statement.name, this.macro(statement.name, statement.parameters, statement.body, scope));
        return undefined;
      case "call-block": {
        const caller = this.macro("caller", statement.parameters, statement.body, scope);
        const { call: wanted } = statement;
        const args = [...wanted.args, { name: "caller", value: { kind: "const" as const, value: caller } }];
        out.push(print(evaluate({ ...wanted, args }, scope)));
        return undefined;
      }
      case "filter-block": {
        const { filter } = statement;
        const written = this.text(statement.body, new Scope(scope));
        out.push(print(filter.kind === "filter" ? filtered(filter, scope, written) : written));
        return undefined;
      }
      case "with": {
        const inner = new Scope(scope);
        for (const { target, value } of statement.values) assign(target, evaluate(value, scope), inner);
        return this.run(statement.body, inner, out);
      }
      case "generation": {
        const { text, runs } = this.text(statement.body, new Scope(scope));
        out.push(new Text(text, [...runs, { start: 0, end: text.length, source: GENERATED, from: 0, to: 0 }]));
        return undefined;
      }
      case "block":
        return this.run(statement.body, new Scope(scope), out);
      default:
        return statement.kind;
    }
  }

  private macro(name: string, parameters: readonly Parameter[], body: Body, scope: Scope): Func {
    return new Func(name, (args, kwargs) => {
      if (++this.depth > MAX_DEPTH) throw fault("maximum recursion depth exceeded");
      const inner = new Scope(scope);
      bindMacro(name, parameters, args, kwargs, inner);
      const written = this.text(body, inner);
      this.depth--;
      return written;
    });
  }

  private loop(
    statement: Extract<Statement, { kind: "for" }>,
    over: Value,
    scope: Scope,
    out: Text[],
    level: number,
  ): void {
    const { target, test, recursive, body, otherwise } = statement;
    const items = iterate(over).filter((item) => {
      if (test === undefined) return true;
      const inner = new Scope(scope);
      assign(target, item, inner);
      return truthy(evaluate(test, inner));
    });
    let [place, changed]: [number, Value | undefined] = [0, undefined];
    const size = items.length;
    const around = (at: number) => orElse(items[at], new Undefined("there is no such item"));
    const facts: Readonly<Record<string, () => Value>> = {
      index: () => BigInt(place + 1),
      index0: () => BigInt(place),
      revindex: () => BigInt(size - place),
      revindex0: () => BigInt(size - place - 1),
      first: () => place === 0,
      last: () => place === size - 1,
      length: () => BigInt(size),
      depth: () => BigInt(level + 1),
      depth0: () => BigInt(level),
      previtem: () => around(place - 1),
      nextitem: () => around(place + 1),
      cycle: () => new Func("cycle", (args) => args[place % Math.max(1, args.length)] ?? null),
      changed: () =>
        new Func("changed", (args) => {
          const now = new Tuple(args);
          const differs = changed === undefined || !equal(changed, now);
          changed = now;
          return differs;
        }),
    };
    const again = (args: readonly Value[]): Value => {
      if (!recursive) throw fault("the loop is not recursive");
      if (level >= MAX_DEPTH) throw fault("maximum recursion depth exceeded");
      const written: Text[] = [];
      this.loop(statement, args[0] ?? null, scope, written, level + 1);
      return Text.join(written);
    };
    const loop = new Func("loop", again, (name) => (Object.hasOwn(facts, name) ? facts[name]?.() : undefined));
    for (; place < size; place++) {
      spend(1);
      const inner = new Scope(scope);
      assign(target, items[place] as Value, inner);
      inner.set("loop", loop);
      if (this.run(body, inner, out) === "break") break;
    }
    if (size === 0) this.run(otherwise, new Scope(scope), out);
  }
}

/**
 * What a template writes, and which of the variables it read.
 *
 * @throws {TemplateFault} as Python and Jinja throw; {BoosterError} `TEMPLATE_ENDLESS`, `TEMPLATE_OUTPUT_TOO_LARGE`
 */
export function render(body: Body, variables: ReadonlyMap<string, Value>): { text: Text; read: ReadonlySet<string> } {
  const globals = new Scope();
  for (const func of GLOBALS) globals.set(func.name, func);
  const given = new Scope(globals);
  for (const [name, value] of variables) given.set(name, value);
  return { text: new Renderer().text(body, new Scope(given)), read: given.asked };
}
