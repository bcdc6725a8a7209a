import { z } from "zod";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import { askService, ServiceOptions } from "../service-client.ts";

const Ready = z.object({
  ready: z.boolean(),
  parts: z.record(
    z.string(),
    z.object({ ok: z.boolean(), problem: z.string().optional(), note: z.string().optional() }),
  ),
});

/** What to do where a part does not work. */
const REMEDIES: Readonly<Record<string, string>> = {
  server: "wait until it is back, or start it again",
  database: "see that PostgreSQL runs and takes connections (DATABASE_URL), or start the server again",
  blobs:
    "see that the disk has room and that the server's user may write in its folder; where files are missing, that --data and --blobs belong to this database, or restore a backup",
  engine: "see the server's log: the base does not load, or memory ran out",
};

/** `booster doctor` */
export const command = defineCommand({
  details:
    "Asks a running server whether all its parts work, and says what to do where one does not. Exit code 1 where one does not.",
  examples: ["booster doctor --server http://127.0.0.1:8642  # each part in a line"],
  options: ServiceOptions,
  async run(options, { output, exitWith }) {
    const { ready, parts } = await askService(options, "/readyz", Ready);
    output.result({ ready, parts }, () =>
      columns(
        Object.entries(parts).map(([name, { ok, problem, note }]) => [
          name,
          ok ? `works${note === undefined ? "" : `; ${note}`}` : (problem ?? "does not work"),
          ok ? "" : (REMEDIES[name] ?? "see the server's log"),
        ]),
      ),
    );
    if (!ready) exitWith(1);
  },
});
