#!/usr/bin/env bash
# One worker on each of four machines: sbatch deploy/slurm.sh
# Needs `zoo` on the PATH of every machine, and a working directory that all of them share.
#SBATCH --job-name=gan-zoo
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

RUN=${RUN:-runs/biggan}
ARGUMENTS=(--model biggan_128 --data folder:pictures)

# A job that was requeued continues from its last checkpoint.
if [ -f "$RUN/config.json" ]; then
    ARGUMENTS=(--resume "$RUN")
else
    ARGUMENTS+=(--run-dir "$RUN")
fi

# srun does not inherit the number of cores.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=0 --wait=90 zoo train --strategy multi_worker "${ARGUMENTS[@]}"
status=$?

# 4: a worker was lost; 143: SLURM has sent SIGTERM, because the time is over or the machines are needed.
if [ "$status" -eq 4 ] || [ "$status" -eq 143 ] || [ "$status" -eq 137 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
