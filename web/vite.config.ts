import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const server = process.env.BOOSTER_SERVER ?? "http://127.0.0.1:8642";

/** The dashboard. `vite web` serves it while it is worked on, with a running `booster serve` behind it. */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [
    svelte({
      configFile: false,
      // What the compiler warns of, accessibility above all, ends the build.
      onwarn: ({ code, message, filename }) => {
        throw new Error(`${code} in ${filename}: ${message}`);
      },
    }),
  ],
  build: {
    outDir: "../dist/web",
    emptyOutDir: true,
    target: "es2022",
    // Under the page's content policy nothing may be inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      // How long plugins took is nothing to whoever builds the package.
      checks: { pluginTimings: false },
      output: {
        // Many small files are packed worse than few: what every page needs, users' pages with their curves, and those of reviewers and owners.
        codeSplitting: {
          groups: [
            { name: "base", priority: 3, test: /node_modules\/svelte|web\/src\/(?!pages|report|ui\/Chart)/ },
            { name: "users", priority: 2, test: /uplot|web\/src\/(pages\/(?!admin|held)|report|ui\/Chart)/ },
            { name: "office", priority: 1, test: /web\/src\/pages\/(admin|held)/ },
          ],
        },
      },
    },
  },
  server: { proxy: { "/v1": server, "/healthz": server } },
});
