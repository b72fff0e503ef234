#!/bin/sh
# A Slurm of a few dozen lines, by the name it is called by. $FAKE_SLURM has a folder for each job, in it a file for
# each task that is not over. While $FAKE_SLURM/down is there, the controller does not answer.
set -u
state=$FAKE_SLURM
as=${FAKE_AS:-$(basename "$0")}
dir=$state/${1:-}
case $as in sbatch | squeue | scontrol | scancel)
    if [ -e "$state/down" ]; then
        echo "$as: error: Unable to contact slurm controller (connect failure)" >&2
        exit 1
    fi ;;
esac
each() { # calls $1 with job and task of JOB_TASK, or of every task of JOB
    for of in $2; do
        job=${of%_*}
        case $of in
        *_*) "$1" "$job" "${of#*_}" ;;
        *) for task in "$state/$job/tasks/"*; do [ -e "$task" ] && "$1" "$job" "$(basename "$task")"; done ;;
        esac
    done
}
end() { # what scancel does: TERM to all, KILL a moment later
    rm -f "$state/$1/tasks/$2"
    pid=$(cat "$state/$1/pid-$2" 2>/dev/null) || return 0
    kill -TERM "-$pid" 2>/dev/null && { sleep 1; kill -KILL "-$pid" 2>/dev/null; }
}
again() {
    [ -e "$state/$1/tasks/$2" ] || return 0
    : >"$state/$1/requeue-$2"
    pid=$(cat "$state/$1/pid-$2" 2>/dev/null) && kill -TERM "-$pid" 2>/dev/null
}
case $as in
sbatch)
    after='' limit='' signal=1
    for arg; do
        case $arg in
        --array=*) last=${arg#--array=0-} last=${last%%%*} ;;
        --job-name=*) name=${arg#*=} ;;
        --output=*) output=${arg#*=} ;;
        --dependency=afterany:*) after=${arg#*:} ;;
        --time=*) limit=${arg#*=} ;;
        --signal=TERM@*) signal=${arg#*@} ;;
        --nonsense*) echo "sbatch: unrecognized option '$arg'" >&2; exit 1 ;;
        --*) ;;
        *) script=$arg ;;
        esac
    done
    if [ "$last" -ge "${FAKE_ARRAY:-1001}" ]; then
        echo "sbatch: error: Batch job submission failed: Invalid job array specification" >&2
        exit 1
    fi
    job=1
    until mkdir "$state/$job" 2>/dev/null; do job=$((job + 1)); done
    dir=$state/$job
    cp "$script" "$dir/script"
    echo "$name" >"$dir/name"
    printf '%s\n' "$last" "$output" "$limit" "$signal" "$after" >"$dir/facts"
    mkdir "$dir/tasks"
    for task in $(seq 0 "$last"); do echo PENDING >"$dir/tasks/$task"; done
    FAKE_AS=array setsid "$0" "$job" >/dev/null 2>&1 </dev/null &
    echo "$job" ;;
array)
    for job in $(sed -n 5p "$dir/facts" | tr : ' '); do
        while [ -n "$(ls "$state/$job/tasks")" ]; do sleep 0.05; done
    done
    seq 0 "$(sed -n 1p "$dir/facts")" | FAKE_AS=task xargs -P 2 -n 1 "$0" "$1" ;;
task)
    { read -r _; read -r output; read -r limit; read -r signal; } <"$dir/facts"
    log=$(echo "$output" | sed "s/%A/$1/; s/%a/$2/")
    restarts=0
    while [ -e "$dir/tasks/$2" ]; do
        rm -f "$dir/requeue-$2"
        echo RUNNING >"$dir/tasks/$2"
        FAKE_AS='' SLURM_ARRAY_JOB_ID=$1 SLURM_ARRAY_TASK_ID=$2 SLURM_RESTART_COUNT=$restarts \
            setsid sh "$dir/script" >>"$log" 2>&1 &
        pid=$!
        echo "$pid" >"$dir/pid-$2"
        if [ -n "$limit" ]; then
            (sleep $((limit - signal)); kill -TERM "$(cat "$dir/step-$2")"; sleep "$signal"; kill -KILL "-$pid") &
            watch=$!
        fi
        wait "$pid"
        rm -f "$dir/pid-$2"
        [ -z "$limit" ] || kill "$watch"
        [ -e "$dir/requeue-$2" ] || break
        restarts=$((restarts + 1))
        echo PENDING >"$dir/tasks/$2"
    done
    rm -f "$dir/tasks/$2" ;;
srun)
    while [ "${1#--}" != "$1" ]; do shift; done
    echo $$ >"$state/$SLURM_ARRAY_JOB_ID/step-$SLURM_ARRAY_TASK_ID"
    exec "$@" ;;
squeue)
    for task in "$state"/*/tasks/*; do
        [ -e "$task" ] || continue
        job=$(basename "${task%/tasks/*}")
        echo "$(cat "$state/$job/name")|${job}_$(basename "$task")|$(cat "$task")|None"
    done ;;
scontrol)
    case $1 in
    show) echo "MaxArraySize            = ${FAKE_ARRAY:-1001}"; echo "MaxJobCount             = ${FAKE_JOBS:-10000}" ;;
    requeue) shift; each again "$*" ;;
    esac ;;
scancel) each end "$*" ;;
esac
