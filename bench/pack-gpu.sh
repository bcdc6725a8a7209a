#!/usr/bin/env bash
# Packs what `npm run bench -- gpu` needs on a Linux x64 machine with nothing on it, this machine's Node included:
#     bench/pack-gpu.sh FILE.tar.xz      after npm run build
set -euo pipefail
file=$(realpath "$1")
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$(command -v node)" "$scratch/node"
mapfile -t packages < <(npm ls --omit=dev --all --parseable | tail -n +2 | xargs realpath --relative-to=.)

# Of ONNX Runtime's binaries this platform's alone; without the service's database, types and source maps.
XZ_OPT=-T0 tar -cJf "$file" \
  --exclude='*.d.ts' --exclude='*.d.mts' --exclude='*.d.cts' --exclude='*.map' --exclude='node_modules/@electric-sql' \
  --exclude='onnxruntime-node/bin/*/darwin' --exclude='onnxruntime-node/bin/*/win32' --exclude='onnxruntime-node/bin/*/linux/arm64' \
  package.json assets/world dist/src dist/bench bench/peers/*.py "${packages[@]}" -C "$scratch" node
echo "$file: $(($(stat -c %s "$file") / 1000000)) MB"
