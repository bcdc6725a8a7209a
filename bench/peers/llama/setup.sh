#!/usr/bin/env bash
# Installs llama.cpp for the generation benchmark (Linux x86-64): node-llama-cpp with its ready-made CPU build, nothing else.
set -euo pipefail
cd "$(dirname "$0")"
npm install --ignore-scripts --omit=optional --no-package-lock --no-audit --no-fund
