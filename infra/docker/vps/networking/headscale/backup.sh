#!/bin/sh
# The sidecar's loop: a snapshot at its start and then every hour, whether or not anybody asks.
# No `set -e`: nothing that goes wrong with one snapshot may stop the next.
# A failure is told in /backups/last-error; the flow on the control machine reads it.

backups=/backups
interval=$((${BACKUP_INTERVAL_MINUTES:-60} * 60))
keep_days=${BACKUP_KEEP_DAYS:-14}

trap 'exit 0' TERM INT

snapshot_of_our_own() {
    id=$(python3 /backup/snapshot.py) || return 1
    # Tells a dead loop from a live one, also where others ask for snapshots.
    echo "$id" >"$backups/.last-own" && mv "$backups/.last-own" "$backups/last-own"
}

prune() {
    newest=$(find "$backups" -maxdepth 1 -name '*Z.tar' -printf '%f\n' | sort | tail -n 1)
    find "$backups" -maxdepth 1 -type f -name '*Z.tar' ! -name "$newest" \
        -mmin +$((keep_days * 24 * 60)) -delete
}

while true; do
    pause=$interval
    snapshot_of_our_own || pause=60
    prune
    sleep "$pause" &
    wait $!
done
