import { Undefined, type Value } from "./values.ts";

/** Names and their values; what an inner scope sets is gone with it. */
export class Scope {
  private readonly names = new Map<string, Value>();
  private readonly outer: Scope | undefined;
  /** Names of this scope that were asked for. */
  readonly asked = new Set<string>();

  constructor(outer?: Scope) {
    this.outer = outer;
  }

  get(name: string): Value {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.outer) {
      const value = scope.names.get(name);
      if (value === undefined) continue;
      scope.asked.add(name);
      return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: Value): void {
    this.names.set(name, value);
  }
}
