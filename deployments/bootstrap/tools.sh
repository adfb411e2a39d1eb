#!/bin/sh
# What the lab and the tests need from Debian; with `chromium`, the browser tests' browser too.
. "$(dirname "$0")/common.sh"

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    stop "Python 3.11 or newer is needed: use Debian 12 or newer."

free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge 8000 ] ||
    stop "only $free_mb MB are free here, and images and caches need 8000: free some space first."

missing=
need() { # need PROGRAM PACKAGE...
    program=$1 && shift
    command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ] || missing="$missing $*"
}
# Since Debian 13 the command is a package of its own.
need docker docker.io $(. /etc/os-release && [ "${VERSION_ID:-0}" -lt 13 ] || echo docker-cli)
if ! docker info >/dev/null 2>&1; then need dockerd docker.io; fi
need iptables iptables
need debootstrap debootstrap debian-archive-keyring
need ssh openssh-client
[ "${1:-}" = chromium ] && need chromium chromium
# Unquoted: it is a list.
[ -z "$missing" ] || install $missing
