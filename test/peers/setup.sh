#!/usr/bin/env bash
# Makes test/peers/.venv: clients of others that the service is tried with, some hundred megabytes (Python >= 3.10).
set -euo pipefail
cd "$(dirname "$0")"

rm -rf .venv
"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check "lm-eval[api]==0.4.13" "openai==3.57.0" "moto[server,s3]==5.2.5"
.venv/bin/python -c 'from importlib.metadata import version; print("lm-eval", version("lm_eval"), "openai", version("openai"))'
