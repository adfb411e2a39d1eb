#!/bin/sh
# The environment in .venv, made of a lock file with hashes. Does nothing when it is current.
. "$(dirname "$0")/common.sh"

lock=$1
mkdir -p .venv
exec 9>.venv/.lock
flock 9

hash_of() { { python3 -V && cat pyproject.toml "$1"; } | sha256sum | cut -d' ' -f1; }
# The tests' lock holds all of the other one, so it serves both.
installed=$(cat .venv/.installed 2>/dev/null || true)
for good in "$lock" requirements-dev.lock; do
    [ "$installed" != "$(hash_of "$good")" ] || exit 0
done

began=$(date +%s)
say "making the Python environment from $lock …"
python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
log=.venv/install.log
# The lock is complete: pip has nothing to resolve (and its hash mode stumbles over extras).
{
    python3 -m venv .venv &&
        .venv/bin/pip install --quiet --no-deps --require-hashes --requirement "$lock" &&
        .venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
} >"$log" 2>&1 </dev/null ||
    stop "the Python environment can't be made: $(tail -n 1 "$log") Is the package index reachable? The log is $log."
hash_of "$lock" >.venv/.installed
say "  $(($(date +%s) - began)) s"
