#!/bin/sh
# What the lab and the tests need from Debian; with `chromium` the browser tests' browser too, with
# `qemu` the emulator of a machine with a kernel of its own.
. "$(dirname "$0")/common.sh"

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    stop "Python 3.11 or newer is needed: use Debian 12 or newer."

# Measured: Go's modules and build cache 8 GB, what they build and the engine's part 5 GB.
needed_mb=14000
[ ! -d "$cache/images" ] || needed_mb=2000
free_mb=$(df -Pm . "$HOME" /var/lib | awk 'NR > 1 && (!free || $4 < free) { free = $4 } END { print free }')
[ "$free_mb" -ge "$needed_mb" ] ||
    stop "only $free_mb MB are free here, and images and caches need $needed_mb: free some space first."

missing=
need() { # need PROGRAM WHAT-FOR PACKAGE...
    program=$1 what_for=$2 && shift 2
    if ! command -v "$program" >/dev/null 2>&1 && ! [ -x "/usr/sbin/$program" ]; then
        say "$program is missing: $what_for"
        missing="$missing $*"
    fi
}

if ! docker info >/dev/null 2>&1; then need dockerd "the engine that runs the lab" docker.io; fi
# Since Debian 13 the command is a package of its own.
need docker "asks the engine" \
    "$(. /etc/os-release && [ "${VERSION_ID:-0}" -lt 13 ] && echo docker.io || echo docker-cli)"
need iptables "the engine's networks" iptables
need debootstrap "builds images where no registry answers" debootstrap debian-archive-keyring
need ssh "logins by hand and key tools" openssh-client
[ "${1:-}" != chromium ] || need chromium "opens the UI in the browser tests" chromium
[ "${1:-}" != qemu ] || need qemu-system-x86_64 "emulates a machine with a kernel of its own" qemu-system-x86
# Unquoted: it is a list.
[ -z "$missing" ] || install $missing
