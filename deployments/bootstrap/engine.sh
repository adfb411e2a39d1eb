#!/bin/sh
# A Docker engine that answers: started by systemd where that runs, by hand elsewhere.
# It belongs to the machine afterwards: neither lab-down nor clean stops it.
. "$(dirname "$0")/common.sh"

OLDEST=20.10

runs() { docker info >/dev/null 2>&1 || as_root docker info >/dev/null 2>&1; }

# After a power cut another program may have an old number, and the engine would believe its note.
forget_stale() { # forget_stale PROGRAM PIDFILE
    [ -e "$2" ] || return 0
    [ "$(cat "/proc/$(cat "$2")/comm" 2>/dev/null)" = "$1" ] || as_root rm -f "$2"
}

start_by_hand() {
    mkdir -p "$state"
    forget_stale dockerd /var/run/docker.pid
    forget_stale containerd /var/run/docker/containerd/containerd.pid
    # Its own session: it outlives make, and Ctrl-C does not reach it.
    as_root setsid dockerd >"$state/dockerd.log" 2>&1 </dev/null &
}

start_engine() {
    say "starting Docker's engine …"
    if [ -d /run/systemd/system ]; then as_root systemctl start docker || true; else start_by_hand; fi
    began=$(date +%s)
    tries=0
    until runs; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] ||
            stop "Docker's engine does not answer: look at $state/dockerd.log, or at journalctl -u docker."
        sleep 1
    done
    say "  $(($(date +%s) - began)) s"
}

runs || start_engine

if ! docker info >/dev/null 2>&1; then
    say "adding $(id -un) to the group docker, whose members may use the engine"
    as_root usermod -aG docker "$(id -un)"
fi

version=$(deployments/bootstrap/with_docker.sh docker version --format '{{.Server.Version}}')
printf '%s\n' "$OLDEST" "$version" | sort -V -C ||
    stop "Docker's engine is $version, $OLDEST or newer is needed: upgrade docker.io."
