#!/usr/bin/env bash
# Trains on a Cloud TPU slice of any number of hosts; bassdiff/docs/clusters.md explains it.
set -euo pipefail
cd "$(dirname "$0")/.."

PROJECT=${PROJECT:-}
ZONE=${ZONE:-}
BUCKET=${BUCKET:-}
NAME=${NAME:-bassdiff}
ACCELERATOR=${ACCELERATOR:-v5litepod-16}
RUNTIME_VERSION=${RUNTIME_VERSION:-}
SPOT=${SPOT:-0}
POLL_SECONDS=${POLL_SECONDS:-60}
MAX_RESTARTS=${MAX_RESTARTS:-50}
DRY_RUN=${DRY_RUN:-0}

USAGE='usage: launch/tpu_vm.sh create | run TRAIN_ARGUMENTS | babysit TRAIN_ARGUMENTS | status | logs | delete
TRAIN_ARGUMENTS are those of bassdiff train, run on hosts that see the bucket as /bucket.
Set PROJECT, ZONE and BUCKET; bassdiff/docs/clusters.md lists the other variables.'
EXIT_USAGE=2
EXIT_RETRY=42

die() {
  printf 'tpu_vm.sh: %s\n' "$1" >&2
  exit "$EXIT_USAGE"
}

say() { printf 'tpu_vm.sh: %s\n' "$1" >&2; }

# Words as a shell would read them back, on one line.
quoted() {
  local word words=()
  for word; do
    [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word=${word@Q}
    words+=("$word")
  done
  printf '%s\n' "${words[*]}"
}

# In a dry run commands go past whoever captures their output.
exec 3>&1
tpu() {
  local words=(gcloud compute tpus "$@" --project="$PROJECT" --zone="$ZONE")
  if ((DRY_RUN)); then
    quoted "${words[@]}" >&3
  else
    "${words[@]}"
  fi
}

on_all_hosts() { tpu tpu-vm ssh "$NAME" --worker=all --command="$1"; }

# Empty if there is no such resource; `describe` could not tell that from a failed call.
resource_state() {
  tpu queued-resources list --filter="name~/$NAME\$" --format='value(state.state)'
}

create() {
  local words=(queued-resources create "$NAME" --node-id="$NAME")
  words+=(--accelerator-type="$ACCELERATOR" --runtime-version="$RUNTIME_VERSION")
  if ((SPOT)); then words+=(--spot); fi
  tpu "${words[@]}"
}

delete() { tpu queued-resources delete "$NAME" --force --quiet; }

# Installed everywhere before it starts anywhere: hosts wait for one another, but not for long.
run() {
  on_all_hosts 'sudo systemctl stop bassdiff; sudo systemctl reset-failed bassdiff; rm -rf bassdiff && mkdir bassdiff' &&
    tpu tpu-vm scp --recurse setup.py README.md bassdiff configs launch "$NAME:bassdiff/" --worker=all &&
    on_all_hosts "bash bassdiff/launch/tpu_worker.sh install $(quoted "$BUCKET")" &&
    on_all_hosts "bash bassdiff/launch/tpu_worker.sh start $(quoted "$@")"
}

# Preempted, hung or killed; all else ends the same way every time.
is_worth_a_retry() { (($1 == EXIT_RETRY || $1 >= 127)); }

# What the hosts' exit codes come to: a code that must not be retried, or else one that must (or
# `none` if a host has no job), or else `running`, or else 0; `unknown` if that depends on a host
# that did not answer.
job_code() {
  local answers answer failure='' verdict=0
  answers=$(on_all_hosts 'bash bassdiff/launch/tpu_worker.sh code || echo exit_code=none') ||
    verdict=unknown
  answers=$(sed -n 's/^exit_code=//p' <<< "$answers")
  for answer in ${answers:-unknown}; do
    case $answer in
      0) ;;
      running | unknown) verdict=$answer ;;
      none) failure=none ;;
      *)
        # Nothing outweighs a code that must not be retried.
        failure=$answer
        is_worth_a_retry "$answer" || break
        ;;
    esac
  done
  printf '%s\n' "${failure:-$verdict}"
}

recreate() { delete && create; }

# Whatever has come to an end that it should not have is begun again, until the job has ended.
babysit() {
  local state code begun=0 restarts=0
  # Asked once without forgiveness, since what is wrong from the start stays wrong.
  resource_state > /dev/null
  if ((DRY_RUN)); then
    create && job_code > /dev/null && run "$@" && job_code > /dev/null
    return
  fi
  while true; do
    state=$(resource_state) || state=UNKNOWN
    case $state in
      '') if ((restarts)); then attempt create; else create; fi ;;
      SUSPENDED | FAILED)
        say "$NAME is $state; creating it again"
        count_restarts 1
        begun=0
        attempt recreate
        ;;
      ACTIVE)
        code=$(job_code)
        # What ended before anyone watched says nothing of this job, and may be another's.
        if [[ $code == running ]]; then begun=1; elif ((! begun)); then code=none; fi
        case $code in
          running | unknown) ;;
          none)
            say 'starting the job'
            # Begun and gone without a code: its host was rebooted.
            count_restarts "$begun"
            attempt run "$@"
            ;;
          *)
            say "the job has ended with exit code $code"
            is_worth_a_retry "$code" || return "$code"
            count_restarts 1
            attempt run "$@"
            ;;
        esac
        ;;
      *) say "$NAME is $state" ;;
    esac
    sleep "$POLL_SECONDS"
  done
}

# `begun` and `restarts` are babysit's.
count_restarts() {
  restarts=$((restarts + $1))
  if ((restarts > MAX_RESTARTS)); then
    say "gave up after $MAX_RESTARTS restarts; see the logs, and babysit again to go on"
    exit "$EXIT_RETRY"
  fi
}

# What fails is met again at the next poll.
attempt() {
  if "$@"; then
    if [[ $1 == run ]]; then begun=1; fi
  else
    say "$1 failed; trying again"
    count_restarts 1
  fi
}

[[ $PROJECT ]] || die 'PROJECT is not set; export the Google Cloud project that pays, as PROJECT'
[[ $ZONE ]] || die 'ZONE is not set; export a zone that has the accelerator, as ZONE'
[[ $SPOT == [01] ]] || die "SPOT is '$SPOT'; set it to 1 for spot capacity or to 0"
[[ $DRY_RUN == [01] ]] || die "DRY_RUN is '$DRY_RUN'; set it to 1 to see the commands or to 0"
case $ACCELERATOR in
  v5litepod-*) RUNTIME_VERSION=${RUNTIME_VERSION:-v2-alpha-tpuv5-lite} ;;
  v6e-*) RUNTIME_VERSION=${RUNTIME_VERSION:-v2-alpha-tpuv6e} ;;
esac
[[ $RUNTIME_VERSION ]] || die "RUNTIME_VERSION is not set; export the one for ACCELERATOR=$ACCELERATOR"
((DRY_RUN)) || command -v gcloud > /dev/null ||
  die 'gcloud is not installed; install the Google Cloud CLI, or set DRY_RUN=1 to see the commands'

verb=${1:-}
shift || true
case $verb in
  run | babysit)
    (($#)) || die "$verb needs the arguments of \`bassdiff train\`; add them, such as: $verb diffusion --config ..."
    [[ $BUCKET ]] || die 'BUCKET is not set; export the bucket of latents and checkpoints, as BUCKET'
    ;;
  create | status | logs | delete) (($# == 0)) || die "$verb takes no arguments; leave out: $*" ;;
  *)
    printf '%s\n' "$USAGE" >&2
    exit "$EXIT_USAGE"
    ;;
esac

case $verb in
  status)
    resource_state
    job_code
    ;;
  logs) tpu tpu-vm ssh "$NAME" --worker=0 --command='sudo journalctl --unit=bassdiff --follow' ;;
  *) "$verb" "$@" ;;
esac
