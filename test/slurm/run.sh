#!/usr/bin/env bash
# Experiments on a real Slurm of two nodes on this machine. Slurm is installed where that can be; elsewhere this says why it does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
  echo "skipped: $1"
  exit 0
}
[ "$(uname)" = Linux ] || skip "Slurm runs on Linux"
[ "$(id -u)" = 0 ] || skip "no right to start Slurm's daemons in namespaces of their own"
unshare --uts --pid --fork --mount-proc true 2>/dev/null || skip "no right to make namespaces"

scratch=$(mktemp -d)
trap 'test/slurm/cluster.sh stop "$scratch" 2>/dev/null || true; rm -rf "$scratch"' EXIT
if ! { command -v slurmctld && command -v munged; } >/dev/null; then
  command -v apt-get >/dev/null || skip "no Slurm, and no apt-get to install it with"
  if ! { apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge; } >"$scratch/apt.log" 2>&1; then
    tail -n 3 "$scratch/apt.log"
    skip "Slurm cannot be installed"
  fi
fi
test/slurm/cluster.sh start "$scratch"
SLURM_CONF="$scratch/slurm.conf" BOOSTER_SLURM="$scratch" npx vitest run test/slurm
