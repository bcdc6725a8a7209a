#!/usr/bin/env bash
# The drill of a backup: one is made, restored into an empty folder and served from there; then each part is asked, the audit log is computed again,
# and every released model answers. What it makes is removed, and it ends with an error where anything is not as it should be.
#
#     BOOSTER_API_KEY=... deploy/drill.sh DATA [PORT]
#
# DATA is the server's folder; DATABASE_URL and BOOSTER_BLOBS mean what they mean to the server. One with an embedded database must be stopped.
# The key is one that may administer and ask models, such as the first one. BOOSTER names the program where it is not on the path.
set -euo pipefail
data=${1:?the folder of the server}
url=http://127.0.0.1:${2:-8699}
booster=${BOOSTER:-booster}
scratch=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null && wait "$server" || true; rm -rf "$scratch"' EXIT

$booster backup --data "$data" --to "$scratch/backup"
# From here on nothing may touch what is in use.
unset DATABASE_URL BOOSTER_BLOBS
$booster restore --from "$scratch/backup" --data "$scratch/restored"
$booster serve --data "$scratch/restored" --port "${url##*:}" --workers 0 >"$scratch/log" 2>&1 &
server=$!
until curl --silent --fail --output "$scratch/ready" "$url/readyz"; do
  kill -0 "$server" 2>/dev/null || { cat "$scratch/log" >&2; exit 1; }
  sleep 1
done
$booster doctor --server "$url"
$booster audit verify --server "$url"

# The key stands in no list of processes.
ask() { curl --silent --fail --header @<(echo "authorization: Bearer $BOOSTER_API_KEY") --header "content-type: application/json" "$@"; }
models=$(ask "$url/v1/models" | node -e 'for (const { id } of JSON.parse(require("fs").readFileSync(0, "utf8")).data) console.log(id)')
for model in $models; do
  ask "$url/v1/chat/completions" --output "$scratch/answer" \
    --data "{\"model\": \"$model\", \"max_tokens\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}"
  echo "$model answers"
done
