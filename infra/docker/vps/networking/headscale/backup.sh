#!/bin/sh
# The sidecar's loop: a snapshot at its start and then every hour, whether or not anybody asks.
# No `set -e`: nothing that goes wrong with one snapshot may stop the next.
# How each ended is told in /backups (last-own, last-error); the flow on the control machine reads
# it, and can so tell a dead loop from a live one, also where others ask for snapshots.

backups=/backups
interval=$((${BACKUP_INTERVAL_MINUTES:-60} * 60))
keep_days=${BACKUP_KEEP_DAYS:-14}

trap 'exit 0' TERM INT

prune() {
    newest=$(find "$backups" -maxdepth 1 -name '*Z.tar' -printf '%f\n' | sort | tail -n 1)
    find "$backups" -maxdepth 1 -type f -name '*Z.tar' ! -name "$newest" \
        -mmin +$((keep_days * 24 * 60)) -delete
}

while true; do
    pause=$interval
    python3 /backup/snapshot.py --own || pause=60
    prune
    sleep "$pause" &
    wait $!
done
