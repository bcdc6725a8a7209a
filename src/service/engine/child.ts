/** An engine's process: one base, the adapters on it, and the rows that are being answered. Started by `EngineProcess`. */

import { AdapterPool, Generator } from "../../generate/index.ts";
import { lineage } from "../../models/model-file.ts";
import { Workbench } from "../../stages/workbench.ts";
import { failureOf } from "../../train/child.ts";
import { sha256Of } from "../domain/canonical.ts";
import { type Answering, answer, type Speaker } from "./answering.ts";
import type { FromEngine, Opening, ToEngine, Told } from "./ipc.ts";
import { adapterFrom } from "./served-adapter.ts";
import type { ServedBase } from "./types.ts";

/** Between two words on how busy it is. */
const STATUS_MS = 500;

/** Numbers of programs, weights and tokens that decide what is answered. */
const fingerprintOf = (identity: string, version: string): string =>
  `fp_${sha256Of(`${identity} ${version} ${process.arch}`).slice(0, 12)}`;

/** Where the server is gone, `disconnect` says so. */
const say = (message: FromEngine): void =>
  void (process.connected && process.send?.(message, undefined, undefined, () => undefined));

/** What is told in one turn of the event loop goes in one message. */
let outbox: Told[] = [];
function tell(told: Told): void {
  if (outbox.push(told) > 1) return;
  setImmediate(() => {
    say({ kind: "told", events: outbox });
    outbox = [];
  });
}

async function open({ name, reference, version, threads, slots, ...limits }: Opening) {
  const bench = new Workbench({ provider: "cpu", ...(threads === undefined ? {} : { threads }) });
  const origin = await bench.open({ model: reference });
  const { base } = await bench.start(origin, "merge", { purpose: "use" });
  const { device, model, weights, tokenizer } = base;
  const generator = await Generator.create({ device, model, weights });
  const pool = new AdapterPool(model, slots);
  const engine = await generator.open(undefined, limits, pool);
  const identity = lineage(origin.sha256, origin.adapters);
  const textOf = (id: number | undefined) => (id === undefined ? null : (tokenizer.tokenOf(id) ?? null));
  const served: ServedBase = {
    name,
    fingerprint: fingerprintOf(identity, version),
    contextLength: model.maxPositions,
    vocabularySize: model.vocabSize,
    chatTemplate: tokenizer.chatTemplate ?? null,
    bosToken: textOf(tokenizer.bosId),
    eosToken: textOf(tokenizer.eosIds[0]),
    padToken: textOf(tokenizer.padId),
  };
  const speaker: Speaker = { engine, model, tokenizer, template: origin.template };
  return { served, speaker, pool, base, below: { identity, isAligned: origin.adapters.length > 0 } };
}

let opened: Awaited<ReturnType<typeof open>> | undefined;
const answering = new Map<number, Answering & { readonly model: string | undefined }>();
const tokens = { prompt: 0, completion: 0 };

function begin(
  { id, ask, group }: ToEngine & { readonly kind: "answer" },
  { speaker, base, below }: NonNullable<typeof opened>,
): void {
  const { adapter } = ask.model;
  const onBase = adapter && adapterFrom(adapter, base, below);
  const begun = answer(speaker, ask, onBase, group, (event) => {
    if (event.kind === "begun") tokens.prompt += event.promptTokens.reduce((a, b) => a + b, 0);
    if (event.kind === "finished") tokens.completion += event.completionTokens;
    tell({ id, event });
  });
  answering.set(id, { ...begun, model: adapter?.key });
  begun.finished
    .then(
      () => tell({ id, value: undefined }),
      (error) => tell({ id, failure: failureOf(error) }),
    )
    .finally(() => answering.delete(id));
}

function withdraw(model: string): void {
  for (const one of answering.values()) if (one.model === model) one.withdraw();
  opened?.pool.forget(model);
}

async function hear(message: ToEngine): Promise<void> {
  if (message.kind === "open") {
    opened = await open(message.opening);
    return say({ kind: "ready", base: opened.served });
  }
  if (message.kind === "leave") process.exit();
  // The server waits for `ready` before it says more.
  if (opened === undefined) return;
  if (message.kind === "cancel") return answering.get(message.id)?.cancel();
  if (message.kind === "withdraw") return withdraw(message.model);
  const { id } = message;
  try {
    const { tokenizer } = opened.speaker;
    if (message.kind === "answer") begin(message, opened);
    else if (message.kind === "decode") tell({ id, value: tokenizer.decode(message.ids) });
    else {
      const value = tokenizer.encode(message.text, {
        allowSpecial: true,
        addBos: message.special && tokenizer.addsBos,
      });
      tell({ id, value });
    }
  } catch (error) {
    tell({ id, failure: failureOf(error) });
  }
}

let lastStatus = "";
setInterval(() => {
  if (opened === undefined) return;
  const { rows, waiting, cacheBytes, pinned } = opened.speaker.engine.load;
  const status = { rows, waiting, cacheBytes, slots: { ...opened.pool.usage, pinned }, tokens: { ...tokens } };
  const text = JSON.stringify(status);
  if (text !== lastStatus) say({ kind: "status", status });
  lastStatus = text;
}, STATUS_MS).unref();

// The server's signals are the server's: it ends this process when its own answers are over.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
if (process.connected === false) process.exit();
process.on("disconnect", () => process.exit());
process.on("message", (message: ToEngine) => {
  hear(message).catch((error) => say({ kind: "broken", failure: failureOf(error) }));
});
