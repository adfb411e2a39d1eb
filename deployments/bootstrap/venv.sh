#!/bin/sh
# The environment in .venv, made of a lock file with hashes. Does nothing when it is current.
. "$(dirname "$0")/common.sh"

lock=$1
mkdir -p .venv
exec 9>.venv/.lock
flock 9

# The tests' lock holds all of the other one, so either may follow the other.
stamp=.venv/.installed
wanted=$(cat requirements.lock "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
! grep -qs "$wanted" "$stamp" || exit 0

began=$(date +%s)
say "making the Python environment from $lock …"
python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
log=.venv/install.log
{
    python3 -m venv .venv &&
        .venv/bin/pip install --quiet --require-hashes --requirement "$lock" &&
        .venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
} >"$log" 2>&1 </dev/null ||
    stop "the Python environment can't be made: $(tail -n 1 "$log") Is the package index reachable? The log is $log."
echo "$wanted" >>"$stamp"
say "  $(($(date +%s) - began)) s"
