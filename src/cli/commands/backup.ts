import { z } from "zod";
import { BlobsOption } from "../../service/serve-options.ts";
import { defineCommand } from "../command.ts";

/** `booster backup` */
export const command = defineCommand({
  details: `Writes all that a service keeps into a new folder: database, files, keys. It is as secret as the server's own folder. With a database in the
server's folder the server must be stopped for it; with PostgreSQL (DATABASE_URL) it goes on.`,
  examples: ["booster backup --data data --to backups/monday  # can be restored into either kind of database"],
  options: z.strictObject({
    blobs: BlobsOption,
    data: z.string().min(1).default("data").describe("Folder of the server"),
    to: z.string().min(1).describe("New folder of the backup"),
  }),
  async run({ data, blobs, to }, { output }) {
    const { openStore } = await import("../../service/store/store.ts");
    const { backup } = await import("../../service/store/backup.ts");
    const store = await openStore({
      data,
      databaseUrl: process.env.DATABASE_URL,
      blobs: blobs ?? process.env.BOOSTER_BLOBS,
    });
    try {
      const { blobs: files } = await backup(store, to);
      output.result({ to, blobs: files }, () => `Written to ${to}, with ${files} stored files`);
    } finally {
      await store.close();
    }
  },
});
