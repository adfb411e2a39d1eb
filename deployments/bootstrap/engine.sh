#!/bin/sh
# A Docker engine that answers: started by systemd where that runs, by hand elsewhere.
# It belongs to the machine afterwards: neither lab-down nor clean stops it.
. "$(dirname "$0")/common.sh"

answers() { docker info >/dev/null 2>&1; }

start_by_hand() {
    mkdir -p "$state"
    # Its own session: it outlives make, and Ctrl-C does not reach it.
    as_root setsid dockerd >"$state/dockerd.log" 2>&1 </dev/null 9>&- &
}

if ! answers; then
    say "starting Docker's engine …"
    if [ -d /run/systemd/system ]; then as_root systemctl start docker; else start_by_hand; fi
    tries=0
    until answers; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || stop "Docker's engine does not answer: look at $state/dockerd.log or journalctl -u docker; may your user use it (group docker)?"
        sleep 1
    done
fi

version=$(docker version --format '{{.Server.Version}}')
[ "${version%%.*}" -ge 20 ] || stop "Docker's engine is $version, 20.10 or newer is needed."
