#!/usr/bin/env bash
# Checks that `srun --mpi=pmix` starts processes that train one model: 1, 2 and 4 of them have one SHA-256 in exact mode.
#
# Starts a Slurm of one node for itself, and ends it. As root, on Debian or Ubuntu:
#     apt-get install slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libpmix-dev openmpi-bin
#     tests/long/slurm.sh [BINARY]          # by default target/release/gridlight
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
binary=$(realpath "${1:-$root/target/release/gridlight}")
place=$(mktemp -d)
host=$(hostname -s)
export SLURM_CONF=$place/slurm.conf
mkdir "$place/controller" "$place/node"
cat >"$SLURM_CONF" <<END
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$place/controller
SlurmdSpoolDir=$place/node
SlurmctldPidFile=$place/controller.pid
SlurmdPidFile=$place/node.pid
SlurmctldLogFile=$place/controller.log
SlurmdLogFile=$place/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
end() {
    for daemon in node controller; do
        [ -f "$place/$daemon.pid" ] && kill "$(cat "$place/$daemon.pid")" || true
    done
    sleep 1
    rm -rf "$place"
}
trap end EXIT
if ! munge -n >/dev/null 2>&1; then
    mkdir -p /run/munge && chown munge: /run/munge
    runuser -u munge -- /usr/sbin/munged
fi
slurmctld -c
sleep 1
slurmd
for _ in $(seq 30); do
    sinfo -h -o %t | grep -q idle && break
    sleep 1
done
for ranks in 1 2 4; do
    launcher=(srun -n "$ranks" --overcommit --mpi=pmix)
    "${launcher[@]}" "$binary" train "$root/assets/experiments/breast-cancer.toml" --device cpu --quiet --exact --epochs 2 \
        --set train.accumulate=4 --out "$place/run-$ranks" >"$place/out" 2>&1 || { cat "$place/out"; exit 1; }
done
digests=$(sha256sum "$place"/run-*/best.safetensors | cut -d' ' -f1 | sort -u)
echo "$digests"
[ "$(echo "$digests" | wc -l)" = 1 ]
