import type { Value } from "./values.ts";

export interface Argument {
  /** A name for `name=value`, `*` and `**` for what is spread. */
  readonly name: string | undefined;
  readonly value: Expression;
}

/** Arguments of a call, a filter or a test. */
export type Arguments = readonly Argument[];

export type Expression =
  | { readonly kind: "const"; readonly value: Value }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly kind: "item"; readonly object: Expression; readonly key: Expression }
  | { readonly kind: "slice"; readonly object: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly kind: "call"; readonly callee: Expression; readonly args: Arguments }
  | { readonly kind: "filter"; readonly value: Expression | undefined; readonly name: string; readonly args: Arguments }
  | { readonly kind: "test"; readonly value: Expression; readonly name: string; readonly args: Arguments }
  | { readonly kind: "unary"; readonly sign: "not" | "-" | "+"; readonly value: Expression }
  | { readonly kind: "binary"; readonly sign: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "logic"; readonly sign: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "concat"; readonly parts: readonly Expression[] }
  | {
      readonly kind: "compare";
      readonly first: Expression;
      readonly rest: readonly { readonly sign: string; readonly value: Expression }[];
    }
  | {
      readonly kind: "if";
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    };

export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "attribute"; readonly namespace: string; readonly name: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly value: Expression | undefined;
}

export type Body = readonly Statement[];

export type Statement =
  | { readonly kind: "data"; readonly text: string }
  | { readonly kind: "print"; readonly value: Expression }
  | {
      readonly kind: "for";
      readonly target: Target;
      readonly over: Expression;
      readonly test: Expression | undefined;
      readonly recursive: boolean;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly test: Expression; readonly body: Body }[];
      readonly otherwise: Body;
    }
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: "set-block";
      readonly target: Target;
      readonly filter: Expression | undefined;
      readonly body: Body;
    }
  | { readonly kind: "macro"; readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Body }
  | {
      readonly kind: "call-block";
      readonly parameters: readonly Parameter[];
      readonly call: Extract<Expression, { kind: "call" }>;
      readonly body: Body;
    }
  | { readonly kind: "filter-block"; readonly filter: Expression; readonly body: Body }
  | {
      readonly kind: "with";
      readonly values: readonly { readonly target: Target; readonly value: Expression }[];
      readonly body: Body;
    }
  | { readonly kind: "generation" | "block"; readonly body: Body }
  | { readonly kind: "break" | "continue" };
