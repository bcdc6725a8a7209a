import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    // Two workers: a native session already uses every core, more would only fight over them.
    maxWorkers: 2,
    pool: "forks",
    globalSetup: "test/crash/compile-all.ts",
    // A shared machine may be four times slower for an hour: these end what hangs, and judge nothing.
    testTimeout: 1_200_000,
    hookTimeout: 1_200_000,
    expect: { poll: { timeout: 120_000 } },
  },
});
