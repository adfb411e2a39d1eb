# Shared by the bootstrap scripts: how they speak, and how they install.
set -eu
cd "$(dirname "$0")/../.."

state="${XDG_STATE_HOME:-$HOME/.local/state}/meshkeeper"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/meshkeeper"

say() { printf '%s\n' "$*"; }

# One sentence on what to do, and no traceback.
stop() {
    printf 'meshkeeper: %s\n' "$*" >&2
    exit 3
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        stop "\`$1\` needs root: run this as root, or install sudo for your user."
    fi
}

# apt waits for dpkg's lock by itself, but not for that of its lists, which a machine that has just
# booted holds while it looks for updates. $1: the log that apt writes to.
update_lists() {
    tries=0
    until as_root apt-get update; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] && tail -n 3 "$1" | grep -q lists/lock || return 1
        sleep 5
    done
}

# install PACKAGE... : from Debian, telling what it is.
install() {
    command -v apt-get >/dev/null 2>&1 ||
        stop "this machine has no apt: install these yourself, or use Debian 12 or 13: $*."
    say "installing from Debian: $* …"
    began=$(date +%s)
    as_root true || stop "installing $* needs root: run this as root, or let your user use sudo."
    log=$(mktemp "${TMPDIR:-/tmp}/meshkeeper-apt.XXXXXX")
    (update_lists "$log" && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@") \
        >"$log" 2>&1 </dev/null ||
        stop "installing $* failed: look at the end of $log; is Debian's package index reachable?"
    rm -f "$log"
    say "  $(($(date +%s) - began)) s"
}
