#!/usr/bin/env bash
# A Slurm of two nodes on this machine, each a host of its own to programs: own name, own process ids.
#   cluster.sh start FOLDER        then: export SLURM_CONF=FOLDER/slurm.conf
#   cluster.sh start-node FOLDER n1
#   cluster.sh kill-node FOLDER n1   as a power cut: the daemon and all that it started are gone at once
#   cluster.sh stop FOLDER
set -euo pipefail
command=$1 folder=$(realpath -m "$2") node=${3:-}
export SLURM_CONF="$folder/slurm.conf"

configuration() {
  local host ports=() node=0
  host=$(hostname -s)
  # Free when asked, as good as that can be known.
  read -r -a ports < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))')
  cat <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdSpoolDir=$folder/spool-%n
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=5
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=10
KillWait=20
MinJobAge=300
END
  for name in n1 n2; do
    node=$((node + 1))
    echo "NodeName=$name NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[$node]} CPUs=1 State=UNKNOWN"
  done
  echo "PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1"
  echo "PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10"
}

start_node() {
  # The daemon is the first process of its namespace: with it all others end.
  unshare --uts --pid --fork --kill-child --mount-proc sh -c 'hostname "$1" && exec slurmd -D -N "$1"' sh "$1" >"$folder/$1.out" 2>&1 &
  echo $! >"$folder/$1.pid"
}

kill_node() {
  local unshare_pid
  unshare_pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 0
  kill -KILL "$unshare_pid" 2>/dev/null || true
  rm -f "$folder/$1.pid"
}

stop() {
  local file pid
  kill_node n1
  kill_node n2
  for file in "$folder/slurmctld.pid" "$folder/munge/pid"; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    kill "$pid" 2>/dev/null || continue
    # It saves its state into the folder that is removed next.
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
  done
}

start() {
  mkdir -p "$folder/state" "$folder/spool-n1" "$folder/spool-n2" "$folder/munge"
  # munged insists that nobody else may write into its folders, and that all may pass through.
  chmod 755 "$folder" "$folder/munge"
  dd if=/dev/urandom of="$folder/munge/key" bs=128 count=1 2>/dev/null
  chmod 400 "$folder/munge/key"
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
  configuration >"$SLURM_CONF"
  slurmctld
  start_node n1
  start_node n2
  for _ in $(seq 100); do
    [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | sort -u | wc -l)" != 2 ] || return 0
    sleep 0.3
  done
  echo "the nodes do not come up:" >&2
  tail -n 5 "$folder"/*.log "$folder"/*.out >&2
  stop
  return 1
}

case $command in
  start) start ;;
  stop) stop ;;
  start-node) start_node "$node" ;;
  kill-node) kill_node "$node" ;;
  *) echo "unknown: $command" >&2; exit 2 ;;
esac
