#!/usr/bin/env bash
# One host's part of tpu_vm.sh, which copies it to every host and calls it there.
#
#   tpu_worker.sh install BUCKET
#   tpu_worker.sh start TRAIN_ARGUMENTS
#   tpu_worker.sh code
set -euo pipefail
cd

install() {
  if ! command -v gcsfuse > /dev/null; then
    local packages=https://packages.cloud.google.com/apt key=/usr/share/keyrings/cloud.google.asc
    curl -fsSL "$packages/doc/apt-key.gpg" | sudo tee "$key" > /dev/null
    echo "deb [signed-by=$key] $packages gcsfuse-$(lsb_release -cs) main" |
      sudo tee /etc/apt/sources.list.d/gcsfuse.list > /dev/null
    # A host that has just been made is still updating itself.
    sudo apt-get -o DPkg::Lock::Timeout=600 -qq update
    sudo apt-get -o DPkg::Lock::Timeout=600 -qq --yes install gcsfuse
  fi
  # Mounted by systemd, which at a shutdown ends the job first and the mount after it.
  sudo mkdir -p /bucket
  sudo sed -i '/ \/bucket gcsfuse /d' /etc/fstab
  echo "$1 /bucket gcsfuse rw,_netdev,allow_other,uid=$(id -u),gid=$(id -g) 0 0" |
    sudo tee -a /etc/fstab > /dev/null
  sudo systemctl daemon-reload
  sudo systemctl restart bucket.mount

  # The host's own Python may be older than ours.
  python3 -m pip install --quiet --user uv
  .local/bin/uv venv --quiet --clear --python 3.11 venv
  .local/bin/uv pip install --quiet --python venv './bassdiff[tpu]'
}

# A unit outlives the ssh session, and no shell stands between its signals and python: at a
# preemption, as at a stop, the job itself is told, and has time to save and to exit with 42.
start() {
  local properties=(
    --property=Type=exec
    --property=RemainAfterExit=yes
    --property=KillMode=mixed
    --property=TimeoutStopSec=300
    --property=RequiresMountsFor=/bucket
    # libtpu pins host memory.
    --property=LimitMEMLOCK=infinity
  )
  sudo systemd-run --unit=bassdiff --uid="$(id -u)" --gid="$(id -g)" \
    --working-directory="$HOME/bassdiff" "${properties[@]}" "$HOME/venv/bin/bassdiff" train "$@"
}

# The job's exit code as a shell would tell it; or `running`; or `none`, if it was never started
# or the host has been rebooted since.
code() {
  local SubState ExecMainCode ExecMainStatus
  # shellcheck source=/dev/null
  source <(systemctl show bassdiff --property=SubState,ExecMainCode,ExecMainStatus)
  # ExecMainCode is 1 if it exited by itself, 2 or 3 if a signal ended it, 0 before that.
  case $SubState/$ExecMainCode in
    exited/1 | failed/1) echo "exit_code=$ExecMainStatus" ;;
    exited/[23] | failed/[23]) echo "exit_code=$((128 + ExecMainStatus))" ;;
    dead/* | failed/0) echo exit_code=none ;;
    *) echo exit_code=running ;;
  esac
}

"$@"
