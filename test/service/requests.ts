/** Requests drawn from an OpenAPI document: as it wants them, and as nobody should send them. */
import fc from "fast-check";
import { ID_PREFIXES } from "../../src/service/domain/ids.ts";

/** What zod writes of JSON Schema. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, Schema>>;
  readonly json: Schema | undefined;
  readonly form: Schema | undefined;
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly parameters?: readonly { readonly in: string; readonly name: string; readonly schema: Schema }[];
            readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
          }
        >
      >
    >
  >;
}

export const operationsOf = (document: unknown): Operation[] =>
  Object.entries((document as Document).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      query: Object.fromEntries(
        parameters.filter((one) => one.in === "query").map(({ name, schema }) => [name, schema]),
      ),
      json: requestBody?.content["application/json"]?.schema,
      form: requestBody?.content["multipart/form-data"]?.schema,
    })),
  );

/** The name of something that is there: `known` puts it in when the request is sent. */
const KNOWN = fc.nat(999).map((n) => `{{${n}}}`);
export const known = (text: string, ids: readonly string[]): string =>
  text.replaceAll(/\{\{(\d+)\}\}/g, (_, n: string) => ids[Number(n) % ids.length]!);

/** How the names of what stands behind a part of an address begin. */
const BEGINNINGS: Readonly<Record<string, string>> = {
  files: ID_PREFIXES.file,
  jobs: ID_PREFIXES.job,
  uploads: ID_PREFIXES.upload,
  projects: ID_PREFIXES.project,
  experiments: "experiment",
};
/** The same for an address, three times of four with the name of something of the kind that it speaks of, where one is known. */
export const knownAddress = (address: string, ids: readonly string[]): string =>
  known(
    address.replaceAll(/([a-z_]+)\/\{\{(\d+)\}\}/g, (all, of: string, n: string) => {
      const own = ids.filter((id) => id.startsWith(BEGINNINGS[of] ?? ""));
      return Number(n) % 4 === 0 || own.length === 0 ? all : `${of}/${own[Number(n) % own.length]}`;
    }),
    ids,
  );

const HOSTILE_TEXTS = fc.constantFrom(
  "",
  " ",
  "null",
  "NaN",
  "-1",
  "1e999",
  "9223372036854775808",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\u202e\ufeff",
  "../../etc/passwd",
  "..%2f..%2f",
  "%",
  "%00",
  "%c0%ae",
  "'; drop table jobs --",
  "$1",
  "{{7}",
  "__proto__",
  "constructor",
  "ft:world-booster:booster::",
  "ft:world-booster:booster::x:ckpt-step-99999999999999999999",
  "a".repeat(600),
  "\u{1f981}".repeat(300),
  "<|endoftext|>{% for x in range(9) %}",
);
const text = fc.oneof({ weight: 3, arbitrary: KNOWN }, HOSTILE_TEXTS, fc.string({ unit: "binary", maxLength: 12 }));

const HOSTILE = fc.oneof(
  text,
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -0,
    -1,
    0.5,
    1e308,
    2 ** 53,
    -(2 ** 63),
    [],
    {},
    [[[[[]]]]],
    [null],
    [1, "a"],
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Values that a schema wants. */
export function fitting(schema: Schema): fc.Arbitrary<unknown> {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map(fitting));
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length === 0) return fc.jsonValue({ maxDepth: 2 });
  return fc.oneof(...types.map((type) => ofType(type, schema)));
}

function ofType(type: string, schema: Schema): fc.Arbitrary<unknown> {
  switch (type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.integer({ min: schema.minimum ?? -(2 ** 31), max: schema.maximum ?? 2 ** 31 });
    case "number":
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true });
    case "string": {
      if (schema.pattern !== undefined) return fc.oneof(fc.stringMatching(new RegExp(schema.pattern)), KNOWN);
      const least = schema.minLength ?? 0;
      return fc.oneof(KNOWN, fc.string({ minLength: least, maxLength: Math.min(schema.maxLength ?? 24, least + 24) }));
    }
    case "array": {
      const least = schema.minItems ?? 0;
      return fc.array(fitting(schema.items ?? {}), { minLength: least, maxLength: least + 2 });
    }
    case "object": {
      const { properties = {}, required = [], additionalProperties: more } = schema;
      const fields = Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, fitting(one)]));
      const own = fc.record(fields, { requiredKeys: [...required] });
      if (typeof more !== "object") return own;
      return fc
        .tuple(fc.dictionary(fc.string({ maxLength: 8 }), fitting(more), { maxKeys: 3 }), own)
        .map(([others, one]) => ({ ...others, ...one }));
    }
    default:
      throw new TypeError(`no value of type ${type} is drawn yet`);
  }
}

/** A value with one thing in it replaced, added or gone. */
function spoilt(value: unknown, at: number, by: unknown): unknown {
  if (typeof value !== "object" || value === null) return by;
  const entries = Object.entries(value);
  const place = at % (entries.length + 2);
  const rest = Math.floor(at / (entries.length + 2));
  if (Array.isArray(value)) {
    return place >= entries.length
      ? [...value, by]
      : value.map((one, i) => (i === place ? spoilt(one, rest, by) : one));
  }
  if (place === entries.length) return { ...value, [`x${rest % 10}`]: by };
  if (place > entries.length) return Object.fromEntries(entries.slice(1));
  return Object.fromEntries(entries.map(([key, one], i) => [key, i === place ? spoilt(one, rest, by) : one]));
}

const orSpoilt = (fit: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 3, arbitrary: fit },
    { weight: 2, arbitrary: fc.tuple(fit, fc.nat(9999), HOSTILE).map((all) => spoilt(...all)) },
    HOSTILE,
  );

const NO_JSON = fc.constantFrom(
  "",
  "{",
  "{}x",
  "\ufeff{}",
  '{"a":1,"a":2}',
  "[".repeat(2000),
  `{"a":${"[".repeat(100)}${"]".repeat(100)}}`,
  '{"__proto__":{"a":1}}',
  "NaN",
  '"\\ud800"',
  '{"model":"\\u0000"}',
  "[1e999]",
  `[${"0,".repeat(2000)}0]`,
);

const ROWS = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'.repeat(11);

/** Fields of a form as text, with a boundary that now and then is not the header's. */
function form(schema: Schema): fc.Arbitrary<{ readonly body: string; readonly type: string }> {
  const names = [...Object.keys(schema.properties ?? {}), "expires_after[anchor]", "expires_after[seconds]", "x"];
  const field = fc.record({
    name: fc.oneof(fc.constantFrom(...names), HOSTILE_TEXTS),
    filename: fc.option(fc.oneof(fc.constant("a.jsonl"), HOSTILE_TEXTS)),
    value: fc.oneof(fc.constantFrom(ROWS, "fine-tune", "created_at", "3600", "fine-tune-results"), text),
  });
  const good = fc.constant(
    [
      { name: "purpose", filename: null, value: "fine-tune" },
      {
        name: Object.keys(schema.properties ?? {}).find((name) => name !== "purpose" && name !== "expires_after")!,
        filename: "a",
        value: ROWS,
      },
    ].filter(({ name }) => names.includes(name)),
  );
  const fields = fc.oneof(
    good,
    fc.array(field, { maxLength: 4 }),
    fc.tuple(good, fc.array(field, { maxLength: 1 })).map((all) => all.flat()),
  );
  return fc
    .tuple(fields, fc.constantFrom("b", "b", "b", "c", ""), fc.constantFrom("--b--\r\n", "--b--\r\n", ""))
    .map(([all, boundary, end]) => ({
      type: `multipart/form-data; boundary=${boundary}`,
      body:
        all
          .map(({ name, filename, value }) => {
            const file = filename === null ? "" : `; filename="${filename}"`;
            return `--b\r\ncontent-disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
          })
          .join("") + end,
    }));
}

/** Values of headers go over the wire as Latin-1, and no line may end in them. */
const headerText = text.map((value) => value.replaceAll(/[^\x20-\x7e\xa0-\xff]/g, "?"));
const HEADERS = fc
  .uniqueArray(
    fc.oneof(
      ...Object.entries({
        "idempotency-key": fc.oneof(headerText, fc.constant("k".repeat(300))),
        "x-stainless-retry-count": fc.constantFrom("0", "1", "NaN", "-1", "1e9"),
        "last-event-id": fc.oneof(
          headerText,
          KNOWN.map((id) => `${id}:3`),
          fc.constantFrom("a:999999999999999", ",,", ":"),
        ),
        "openai-project": headerText,
        traceparent: headerText,
        "x-client-request-id": headerText,
        accept: fc.constantFrom("application/json", "application/binary", "text/event-stream", "\u00ff"),
        "accept-encoding": fc.constantFrom("gzip", "br;q=2", "*"),
        range: fc.constantFrom("bytes=0-1", "bytes=-0", "x"),
        "if-none-match": fc.constantFrom("*", '"a"'),
        expect: fc.constant("100-continue"),
      }).map(([name, value]) => value.map((one) => [name, one] as const)),
    ),
    { maxLength: 2, selector: ([name]) => name },
  )
  .map(Object.fromEntries<string>);

export interface Request {
  readonly operation: Operation;
  readonly method: string;
  /** With places for what is there (`known`). */
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Index into the keys that are tried. */
  readonly key: number;
}

/** A request of an operation, or nearly one. */
export function requestOf(operation: Operation): fc.Arbitrary<Request> {
  const { method, path, query, json, form: fields } = operation;
  const place = fc.oneof({ weight: 4, arbitrary: KNOWN }, text);
  const asked = fc.oneof(
    fc.record(Object.fromEntries(Object.entries(query).map(([name, schema]) => [name, orSpoilt(fitting(schema))])), {
      requiredKeys: [],
    }),
    fc.dictionary(
      fc.oneof(
        fc.constantFrom(...Object.keys(query), "after", "limit", "metadata[a]", "metadata[a][b]", "a[]", "order"),
        HOSTILE_TEXTS,
      ),
      text,
      { maxKeys: 3 },
    ),
  );
  const content = fc.oneof(
    ...(json === undefined
      ? []
      : [
          {
            weight: 6,
            arbitrary: orSpoilt(fitting(json)).map((value) => ({
              body: JSON.stringify(value),
              type: "application/json",
            })),
          },
        ]),
    ...(fields === undefined ? [] : [{ weight: 6, arbitrary: form(fields) }]),
    {
      weight: 1,
      arbitrary: fc
        .tuple(NO_JSON, fc.constantFrom("application/json", "application/x+json; charset=utf-7", "text/plain", ""))
        .map(([body, type]) => ({ body, type })),
    },
    { weight: method === "GET" || method === "DELETE" ? 8 : 1, arbitrary: fc.constant(undefined) },
  );
  return fc
    .record({
      method: fc.oneof(
        { weight: 12, arbitrary: fc.constant(method) },
        fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"),
      ),
      places: fc.array(place, { minLength: 3, maxLength: 3 }),
      asked,
      headers: HEADERS,
      content,
      key: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.nat(9)),
    })
    .map(({ places, asked: values, content: sent, headers, ...rest }) => {
      let at = 0;
      const filled = path.replaceAll(/\{\w+\}/g, () => placed(places[at++]!));
      const search = Object.entries(values).flatMap(([name, value]) =>
        [value]
          .flat()
          .map((one) => `${placed(name)}=${placed(typeof one === "object" ? JSON.stringify(one) : String(one))}`),
      );
      return {
        ...rest,
        operation,
        address: search.length === 0 ? filled : `${filled}?${search.join("&")}`,
        headers: { ...headers, ...(sent?.type ? { "content-type": sent.type } : {}) },
        body: sent?.body,
      };
    });
}

/** As part of an address: what is to be put in later, and what is an escape of its own, stays as it is. */
const placed = (value: string): string =>
  /^(?:\{\{\d+\}\}|[%.][\w%./]*)$/.test(value) ? value : encodeURIComponent(value.replaceAll(/\p{Surrogate}/gu, "?"));
