#!/bin/sh
# Empties the caches: built images and programs, Go's modules, the environment, build/.
. "$(dirname "$0")/common.sh"

# The engine that could tell may be off; what a lab left here says the same.
[ ! -d build/lab ] ||
    stop "a lab was booted here: run \`make lab-down\` first."
if docker info >/dev/null 2>&1; then
    [ -z "$(docker ps -aq --filter name=^mk-lab-)" ] ||
        stop "the lab is up: run \`make lab-down\` first."
    images=$(docker images -q --filter label=io.meshkeeper.inputs | sort -u)
    # Unquoted: it is a list.
    [ -z "$images" ] || docker rmi --force $images >/dev/null
fi
[ ! -d "$cache" ] || chmod -R u+w "$cache"
rm -rf "$cache" .venv build .mypy_cache .ruff_cache .pytest_cache
say "the caches are empty."
