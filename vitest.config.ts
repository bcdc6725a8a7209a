import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    // Two workers: a native session already uses every core, more would only fight over them.
    maxWorkers: 2,
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
