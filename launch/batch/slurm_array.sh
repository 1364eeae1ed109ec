#!/usr/bin/env bash
# Many songs on a Slurm cluster, a part for each task of an array.
#
#   sbatch --array=1-8 launch/batch/slurm_array.sh SONGS --out DIR_OR_URL
#
#SBATCH --job-name=bassdiff-batch
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Before the time is over, so that the part ends with 42 and is queued again.
#SBATCH --signal=TERM@120
set -euo pipefail

code=0
srun bassdiff batch "$@" --allow-failed \
  --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" || code=$?
if ((code == 42)); then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
