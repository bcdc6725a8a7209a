import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

/**
 * JSON lines about requests and jobs: ids, codes, times. Values of headers, bodies, prompts, rows and file names are never given to it;
 * that errors of libraries do not bring any is seen to here: of an error only its class, code and place in the program are written.
 */
export const openLog = (level: string, to?: DestinationStream): Logger =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFacts },
    },
    to ?? pino.destination({ dest: 2, sync: true }),
  );

/** What an error says without its message, which may quote what a tenant sent. */
function errorFacts(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { class: typeof error };
  const { code } = error as { readonly code?: unknown };
  const cause = error.cause === undefined ? {} : { cause: errorFacts(error.cause) };
  return {
    class: error.name,
    ...(typeof code === "string" ? { code } : {}),
    at: (error.stack ?? "")
      .split("\n")
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 8)
      .map((line) => line.trim()),
    ...cause,
  };
}
