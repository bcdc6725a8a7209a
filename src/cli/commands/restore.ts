import { z } from "zod";
import { BlobsOption } from "../../service/serve-options.ts";
import { defineCommand } from "../command.ts";

/** `booster restore` */
export const command = defineCommand({
  details: `Makes a server's folder, and its database, of a backup; DATABASE_URL says which database where it is PostgreSQL. Both must be empty.
Jobs that were being worked on go on from their last checkpoint.`,
  examples: [
    "booster restore --from backups/monday --data data  # then booster serve",
    "DATABASE_URL=postgres://... booster restore --from backups/monday --data data  # moves an embedded server to PostgreSQL",
  ],
  options: z.strictObject({
    from: z.string().min(1).describe("Folder of the backup"),
    blobs: BlobsOption,
    data: z.string().min(1).default("data").describe("New folder of the server"),
  }),
  async run({ from, data, blobs }, { output }) {
    const { restore } = await import("../../service/store/backup.ts");
    await restore(from, { data, databaseUrl: process.env.DATABASE_URL, blobs: blobs ?? process.env.BOOSTER_BLOBS });
    output.result({ data }, () => `Restored into ${data}: booster serve --data ${data}`);
  },
});
