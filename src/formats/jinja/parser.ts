import type { Body, Expression, Parameter, Statement, Target } from "./ast.ts";
import { ExpressionParser } from "./expressions.ts";
import { lex } from "./lexer.ts";

class Parser extends ExpressionParser {
  /** Statements up to one of some tags, whose name is taken. */
  private body(...ends: string[]): { body: Body; end: string } {
    this.skip(":");
    this.endTag();
    return this.nested(() => this.statements(ends));
  }

  private endTag(): void {
    if (this.token.kind !== "end") this.fail(`unexpected '${this.token.value}'`);
    this.next();
  }

  /** A body whose closing tag is the only end, and that tag's end. */
  private closed(end: string): Body {
    const { body } = this.body(end);
    this.endTag();
    return body;
  }

  statements(ends: readonly string[]): { body: Body; end: string } {
    const body: Statement[] = [];
    for (;;) {
      const token = this.token;
      if (token.kind === "eof") {
        if (ends.length > 0) this.fail(`the template ends without ${ends.join(" or ")}`);
        return { body, end: "" };
      }
      this.next();
      if (token.kind === "data") body.push({ kind: "data", text: token.value });
      else if (token.value === "{{") {
        body.push({ kind: "print", value: this.tuple(() => false) });
        this.endTag();
      } else {
        const name = this.name();
        if (ends.includes(name)) return { body, end: name };
        body.push(this.statement(name));
      }
    }
  }

  private statement(name: string): Statement {
    switch (name) {
      case "for":
        return this.loop();
      case "if":
        return this.condition();
      case "set":
        return this.assignment();
      case "macro": {
        const macro = this.name();
        return { kind: "macro", name: macro, parameters: this.parameters(), body: this.closed("endmacro") };
      }
      case "call": {
        const parameters = this.is("(") ? this.parameters() : [];
        const call = this.expression();
        if (call.kind !== "call") return this.fail("expected a call");
        return { kind: "call-block", parameters, call, body: this.closed("endcall") };
      }
      case "filter":
        return { kind: "filter-block", filter: this.filterChain(undefined), body: this.closed("endfilter") };
      case "with":
        return this.scope();
      case "generation":
        return { kind: "generation", body: this.closed("endgeneration") };
      case "block": {
        const block = this.name();
        const { body } = this.body("endblock");
        this.skip(block);
        this.endTag();
        return { kind: "block", body };
      }
      case "break":
      case "continue":
        this.endTag();
        return { kind: name };
      default:
        return this.fail(`unknown tag '${name}'`);
    }
  }

  private loop(): Statement {
    const target = this.target(() => this.is("in"));
    this.expect("in");
    const over = this.tuple(() => this.is("recursive") || this.is("if"), false);
    const test = this.skip("if") ? this.expression() : undefined;
    const recursive = this.skip("recursive");
    const { body, end } = this.body("endfor", "else");
    const otherwise = end === "else" ? this.body("endfor").body : [];
    this.endTag();
    return { kind: "for", target, over, test, recursive, body, otherwise };
  }

  private condition(): Statement {
    const branches: { test: Expression; body: Body }[] = [];
    let otherwise: Body = [];
    for (let end = "elif"; end !== "endif"; ) {
      if (end === "else") ({ body: otherwise, end } = this.body("endif"));
      else {
        const test = this.tuple(() => false, false);
        const branch = this.body("elif", "else", "endif");
        branches.push({ test, body: branch.body });
        end = branch.end;
      }
    }
    this.endTag();
    return { kind: "if", branches, otherwise };
  }

  private assignment(): Statement {
    const target = this.target(() => this.is("="));
    if (this.skip("=")) {
      const value = this.tuple(() => false);
      this.endTag();
      return { kind: "set", target, value };
    }
    const filter = this.skip("|") ? this.filterChain(undefined) : undefined;
    return { kind: "set-block", target, filter, body: this.closed("endset") };
  }

  private filterChain(start: Expression | undefined): Expression {
    let value = this.filter(start);
    while (this.skip("|")) value = this.filter(value);
    return value;
  }

  private scope(): Statement {
    const values: { target: Target; value: Expression }[] = [];
    while (this.token.kind !== "end") {
      if (values.length > 0) this.expect(",");
      const target = this.target(() => this.is("="));
      this.expect("=");
      values.push({ target, value: this.expression() });
    }
    return { kind: "with", values, body: this.closed("endwith") };
  }

  private target(ends: () => boolean): Target {
    const items: Target[] = [];
    let isTuple = false;
    for (;;) {
      if (this.token.kind === "end" || this.is(")") || ends()) break;
      items.push(this.singleTarget());
      if (!this.skip(",")) break;
      isTuple = true;
    }
    if (isTuple) return { kind: "tuple", items };
    return items[0] ?? this.fail("expected a name to assign to");
  }

  private singleTarget(): Target {
    if (this.skip("(")) {
      const inner = this.nested(() => this.target(() => false));
      this.expect(")");
      return inner;
    }
    const name = this.name();
    return this.skip(".") ? { kind: "attribute", namespace: name, name: this.name() } : { kind: "name", name };
  }

  private parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    this.expect("(");
    while (!this.skip(")")) {
      if (parameters.length > 0) this.expect(",");
      parameters.push({ name: this.name(), value: this.skip("=") ? this.expression() : undefined });
    }
    return parameters;
  }
}

/** The statements of a template. @throws {TemplateFault} */
export const parse = (template: string): Body => new Parser(lex(template)).statements([]).body;
