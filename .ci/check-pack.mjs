/** Fails when the npm package would hold anything but what is meant to be in it. Argument: output of `npm pack --dry-run --json`. */
import { readFileSync } from "node:fs";

const ALLOWED = [
  /^(LICENSE|package\.json|[A-Z]+\.md)$/,
  /^assets\/world(-[23])?\/(config|generation_config|tokenizer|tokenizer_config)\.json$/,
  /^assets\/world(-[23])?\/model\.safetensors$/,
  /^assets\/policies\/default\.yaml$/,
  /^dist\/src\/[\w/-]+(\.d\.ts|\.js)$/,
  /^dist\/web\/(index\.html|icon\.svg|assets\/[\w.-]+\.(js|css))$/,
  /^docs\/[\w/-]+\.(md|png|yaml)$/,
  /^(examples|recipes)\/[\w-]+\.yaml$/,
];
const NEEDED = [
  "LICENSE",
  "README.md",
  "CHANGELOG.md",
  ...["world", "world-2", "world-3"].map((base) => `assets/${base}/model.safetensors`),
  "assets/policies/default.yaml",
  "recipes/scales.yaml",
  "dist/src/cli/main.js",
  "dist/src/index.d.ts",
  "dist/web/index.html",
];

const [{ files, size }] = JSON.parse(readFileSync(process.argv[2], "utf8"));
const paths = files.map(({ path }) => path);
const strange = paths.filter((path) => !ALLOWED.some((pattern) => pattern.test(path)) || /\.test\./.test(path));
const missing = NEEDED.filter((path) => !paths.includes(path));
for (const path of strange) console.error(`does not belong into the package: ${path}`);
for (const path of missing) console.error(`missing in the package: ${path}`);
if (strange.length + missing.length > 0) process.exit(1);
console.log(`${paths.length} files, ${(size / 1e6).toFixed(1)} MB`);
