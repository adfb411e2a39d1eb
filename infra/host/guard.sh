# The timed revert, run on the host as root: `arm SECONDS ADMIN`, `confirm` or `revert`.
# What is not confirmed from a new connection is taken back by the host itself, after the timeout
# or at the next boot. The mark `armed` is moved, never copied: confirm or revert, only one gets it.
set -eu
home=/var/lib/meshkeeper/guard
unit=meshkeeper-revert

arm() {
    # Two at once: the second sees what the first has armed.
    exec 9>/run/meshkeeper-guard.lock
    flock 9
    # An earlier one that nobody confirmed is about to be taken back: wait for that.
    waited=0
    while [ -e $home/armed ]; do
        [ $waited -lt 90 ] || { echo "another guarded change is under way" >&2; exit 1; }
        waited=$((waited + 1))
        sleep 1
    done
    mkdir -p -m 700 $home
    paths="etc/ssh etc/sudoers.d"
    [ ! -d /etc/ufw ] || paths="$paths etc/ufw etc/default/ufw"
    keys=$(getent passwd "$2" | cut -d: -f6 | cut -c2-)/.ssh
    [ ! -d "/$keys" ] || paths="$paths $keys"
    tar -C / -cf $home/before.tar $paths
    cp "$0" $home/guard.sh
    cat >/etc/systemd/system/$unit-boot.service <<UNIT
[Unit]
Description=Take back a change of SSH or the firewall that was never confirmed
ConditionPathExists=$home/armed
After=ssh.service ufw.service
[Service]
Type=oneshot
ExecStart=/bin/sh $home/guard.sh revert
[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl -q enable $unit-boot.service
    touch $home/armed
    sync $home/armed $home/before.tar
    systemctl -q reset-failed $unit.timer $unit.service 2>/dev/null || true
    # systemd's own accuracy would be a minute.
    systemd-run --quiet --unit=$unit --on-active="$1" --timer-property=AccuracySec=1s \
        /bin/sh $home/guard.sh revert
}

confirm() {
    mv $home/armed $home/confirmed || { echo "the host has already taken it back" >&2; exit 1; }
    systemctl stop $unit.timer
    disarm
}

revert() {
    mv $home/armed $home/reverting 2>/dev/null || exit 0
    rm -rf /etc/ssh/sshd_config.d
    mkdir -p /etc/ssh/sshd_config.d
    tar -C / -xf $home/before.tar
    systemctl reload ssh
    # UFW takes no rule of after.rules out of the kernel.
    grep -qs DOCKER-USER /etc/ufw/after.rules || forget_docker_rules
    if grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then
        ufw reload >/dev/null
    elif [ -x /usr/sbin/ufw ]; then
        /usr/lib/ufw/ufw-init force-stop >/dev/null
    fi
    disarm
}

forget_docker_rules() {
    for tables in iptables ip6tables; do
        ! $tables -w 5 -F DOCKER-USER 2>/dev/null || $tables -w 5 -A DOCKER-USER -j RETURN
    done
}

disarm() {
    # Two at once: the second sees what the first has armed.
    exec 9>/run/meshkeeper-guard.lock
    flock 9
    systemctl -q disable $unit-boot.service
    rm -f /etc/systemd/system/$unit-boot.service
    systemctl daemon-reload
}

"$@"
