import { BoosterError } from "../../errors.ts";
import { ServeOptions } from "../../service/serve-options.ts";
import { stopOnSignals } from "../../train/signals.ts";
import { defineCommand } from "../command.ts";
import { boosterVersion } from "../version.ts";

/** `booster serve` */
export const command = defineCommand({
  details: `Runs the service: users upload data, it fine-tunes the aligned base on them, measures what came out, and serves what passes.
Clients are those of OpenAI's API. The first start aligns the bundled base and prints the first key, once. Everything lies in --data;
DATABASE_URL moves the database to PostgreSQL.`,
  examples: [
    "booster serve  # everything on this machine",
    "booster serve --data /srv/booster --workers 2  # elsewhere, with two workers",
    "DATABASE_URL=postgres://... booster serve --workers 0  # one of several servers",
  ],
  options: ServeOptions,
  async run(options, { output, exitWith }) {
    const stop = stopOnSignals((name) => output.progress.note(`${name}: answering what has begun, then leaving`));
    try {
      const { serve } = await import("../../service/serve.ts");
      const server = await serve(options, {
        version: boosterVersion(),
        program: process.argv[1]!,
        signal: stop.signal,
        emit: (event) => output.progress.show(event),
      });
      output.result({ url: server.url, base: server.base, key: server.firstKey }, () => greeting(server));
      await new Promise<void>((resolve) => {
        if (stop.signal.aborted) resolve();
        else stop.signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await server.stop();
    } catch (error) {
      if (!(error instanceof BoosterError) || error.code !== "STOPPED") throw error;
    } finally {
      const code = stop.exitCode();
      if (code !== undefined) exitWith(code);
      stop.restore();
    }
  },
});

/** What a person is told: where, who, and three lines to copy. */
function greeting({
  url,
  firstKey,
  base,
}: {
  readonly url: string;
  readonly firstKey: string | undefined;
  readonly base: string;
}) {
  const key =
    firstKey === undefined
      ? "Keys: booster keys list"
      : `The first key, shown this once (it may do everything in the default project and on the server):

  ${firstKey}

With it sign in at ${url} in a browser, or work from here:

  export OPENAI_BASE_URL=${url}/v1 OPENAI_API_KEY=${firstKey}
  curl $OPENAI_BASE_URL/models -H "Authorization: Bearer $OPENAI_API_KEY"
  curl $OPENAI_BASE_URL/files -H "Authorization: Bearer $OPENAI_API_KEY" -F purpose=fine-tune -F file=@train.jsonl`;
  return `Serving ${base} at ${url}\n\n${key}\n\nCtrl-C stops it.`;
}
