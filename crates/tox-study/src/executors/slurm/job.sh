#!/bin/sh
# A task of the array: the trials of its line in {{ tasks }}, one after another.
ids=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {{ tasks }})
srun --ntasks=1 {{ command }} --id "$ids"
code=$?
# Stopped with a checkpoint, such as before the time limit: this task of the array goes back into the queue.
if [ "$code" -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt {{ requeues }} ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
