import type { Argument, Expression } from "./ast.ts";
import type { Token } from "./lexer.ts";
import { MAX_DEPTH, TemplateFault } from "./limits.ts";
import { text, type Value } from "./values.ts";

const CONSTANTS: Readonly<Record<string, Value>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
const COMPARISONS = ["==", "!=", "<", "<=", ">", ">="];

/** Reads tokens one by one; the grammar of expressions is that of Jinja's own parser. */
export class ExpressionParser {
  private at = 0;
  private depth = 0;
  private readonly tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get token(): Token {
    return this.tokens[this.at] as Token;
  }

  next(): Token {
    return this.tokens[this.at++] as Token;
  }

  fail(problem: string): never {
    throw new TemplateFault(`${problem} (line ${this.token.line})`);
  }

  /** Whether the token is of a kind and has a value, for names and operators. */
  is(value: string, ahead = 0): boolean {
    const token = this.tokens[this.at + ahead];
    return (token?.kind === "name" || token?.kind === "operator") && token.value === value;
  }

  skip(value: string): boolean {
    const found = this.is(value);
    if (found) this.at++;
    return found;
  }

  expect(value: string): void {
    if (!this.skip(value)) this.fail(`expected '${value}', got '${this.token.value}'`);
  }

  name(): string {
    if (this.token.kind !== "name" || /^\p{N}/u.test(this.token.value)) this.fail("expected a name");
    return this.next().value;
  }

  /** Bounds recursion, so that a hostile template cannot exhaust the stack. */
  nested<T>(parse: () => T): T {
    if (++this.depth > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} levels`);
    const result = parse();
    this.depth--;
    return result;
  }

  /** One expression, or several with commas as a tuple. */
  tuple(ends: () => boolean, withCondition = true): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (this.token.kind === "end" || this.is(")") || ends()) break;
      items.push(withCondition ? this.expression() : this.or());
      if (!this.skip(",")) break;
      isTuple = true;
    }
    if (isTuple) return { kind: "tuple", items };
    return items[0] ?? this.fail("expected an expression");
  }

  expression(): Expression {
    return this.nested(() => {
      let result = this.or();
      while (this.skip("if")) {
        const test = this.or();
        result = { kind: "if", test, value: result, otherwise: this.skip("else") ? this.expression() : undefined };
      }
      return result;
    });
  }

  or(): Expression {
    let left = this.and();
    while (this.skip("or")) left = { kind: "logic", sign: "or", left, right: this.and() };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.skip("and")) left = { kind: "logic", sign: "and", left, right: this.not() };
    return left;
  }

  private not(): Expression {
    if (!this.skip("not")) return this.comparison();
    return this.nested(() => ({ kind: "unary", sign: "not", value: this.not() }));
  }

  private comparison(): Expression {
    const first = this.sum();
    const rest: { sign: string; value: Expression }[] = [];
    for (;;) {
      if (this.token.kind === "operator" && COMPARISONS.includes(this.token.value)) {
        rest.push({ sign: this.next().value, value: this.sum() });
      } else if (this.skip("in")) rest.push({ sign: "in", value: this.sum() });
      else if (this.is("not") && this.is("in", 1)) {
        this.at += 2;
        rest.push({ sign: "not in", value: this.sum() });
      } else return rest.length === 0 ? first : { kind: "compare", first, rest };
    }
  }

  private binary(signs: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.token.kind === "operator" && signs.includes(this.token.value)) {
      left = { kind: "binary", sign: this.next().value, left, right: operand() };
    }
    return left;
  }

  private sum(): Expression {
    return this.binary(["+", "-"], () => this.concat());
  }

  private concat(): Expression {
    const parts = [this.product()];
    while (this.skip("~")) parts.push(this.product());
    return parts.length === 1 ? (parts[0] as Expression) : { kind: "concat", parts };
  }

  private product(): Expression {
    return this.binary(["*", "/", "//", "%"], () => this.binary(["**"], () => this.unary()));
  }

  private unary(withFilter = true): Expression {
    let value: Expression;
    if (this.is("-") || this.is("+")) {
      const sign = this.next().value as "-" | "+";
      value = this.nested(() => ({ kind: "unary", sign, value: this.unary(false) }));
    } else value = this.primary();
    value = this.postfix(value);
    return withFilter ? this.filters(value) : value;
  }

  primary(): Expression {
    const token = this.token;
    if (token.kind === "name") {
      const name = this.name();
      const constant = Object.hasOwn(CONSTANTS, name) ? CONSTANTS[name] : undefined;
      return constant === undefined ? { kind: "name", name } : { kind: "const", value: constant };
    }
    if (token.kind === "string") {
      let literal = "";
      while (this.token.kind === "string") literal += this.next().value;
      return { kind: "const", value: text(literal) };
    }
    if (token.kind === "integer") return { kind: "const", value: BigInt(this.next().value.replaceAll("_", "")) };
    if (token.kind === "float") return { kind: "const", value: Number(this.next().value.replaceAll("_", "")) };
    if (this.skip("(")) {
      if (this.skip(")")) return { kind: "tuple", items: [] };
      const value = this.nested(() => this.tuple(() => false));
      this.expect(")");
      return value;
    }
    if (this.skip("[")) return { kind: "list", items: this.until("]", () => this.expression()) };
    if (this.skip("{")) return { kind: "dict", pairs: this.until("}", () => this.pair()) };
    return this.fail(`unexpected '${token.value}'`);
  }

  private pair(): readonly [Expression, Expression] {
    const key = this.expression();
    this.expect(":");
    return [key, this.expression()];
  }

  /** Things with commas between them; one may stand behind the last. */
  private until<T>(close: string, parse: () => T): T[] {
    const items: T[] = [];
    while (!this.skip(close)) {
      if (items.length > 0) {
        this.expect(",");
        if (this.skip(close)) break;
      }
      items.push(this.nested(parse));
    }
    return items;
  }

  private postfix(start: Expression): Expression {
    let value = start;
    for (;;) {
      if (this.skip(".")) {
        const { kind } = this.token;
        if (kind === "integer") value = { kind: "item", object: value, key: this.primary() };
        else value = { kind: "attribute", object: value, name: this.name() };
      } else if (this.skip("[")) value = this.subscript(value);
      else if (this.is("(")) value = { kind: "call", callee: value, args: this.callArguments() };
      else return value;
    }
  }

  private subscript(object: Expression): Expression {
    const bounds: (Expression | undefined)[] = [];
    let [current, colons]: [Expression | undefined, number] = [undefined, 0];
    for (;;) {
      if (this.skip(":")) {
        bounds.push(current);
        current = undefined;
        if (++colons > 2) this.fail("a slice has at most three parts");
      } else if (this.skip("]")) break;
      else if (current !== undefined) this.fail("expected ']'");
      else current = colons === 0 ? this.tuple(() => this.is("]") || this.is(":")) : this.expression();
    }
    if (colons > 0) return { kind: "slice", object, bounds: [...bounds, current] };
    return { kind: "item", object, key: current ?? this.fail("expected a subscript") };
  }

  callArguments(): Argument[] {
    this.expect("(");
    return this.until(")", () => {
      if (this.skip("*")) return { name: "*", value: this.expression() };
      if (this.skip("**")) return { name: "**", value: this.expression() };
      if (this.token.kind !== "name" || !this.is("=", 1)) return { name: undefined, value: this.expression() };
      const name = this.name();
      this.expect("=");
      return { name, value: this.expression() };
    });
  }

  private filters(start: Expression): Expression {
    let value = start;
    for (;;) {
      if (this.skip("|")) value = this.filter(value);
      else if (this.skip("is")) value = this.test(value);
      else if (this.is("(")) value = { kind: "call", callee: value, args: this.callArguments() };
      else return value;
    }
  }

  filter(value: Expression | undefined): Expression {
    const name = this.name();
    return { kind: "filter", value, name, args: this.is("(") ? this.callArguments() : [] };
  }

  private test(value: Expression): Expression {
    const negated = this.skip("not");
    const name = this.name();
    const { kind } = this.token;
    const isArgument =
      ["name", "string", "integer", "float"].includes(kind) || ["[", "{"].some((open) => this.is(open));
    let args: Argument[] = [];
    if (this.is("(")) args = this.callArguments();
    else if (isArgument && !["else", "or", "and", "if", "in", "not", "recursive"].some((word) => this.is(word))) {
      if (this.is("is")) this.fail("tests cannot be chained");
      args = [{ name: undefined, value: this.postfix(this.primary()) }];
    }
    const test: Expression = { kind: "test", value, name, args };
    return negated ? { kind: "unary", sign: "not", value: test } : test;
  }
}
