# The timed revert, run on the host as root: `arm SECONDS ADMIN`, `confirm` or `revert`.
# What is not confirmed from a new connection is taken back by the host itself, after the timeout
# or at the next boot. The mark `armed` is moved, never copied: confirm or revert, only one gets it.
set -eu
home=/var/lib/meshkeeper/guard
unit=meshkeeper-revert
boot_unit=/etc/systemd/system/$unit-boot.service

arm() {
    mkdir -p -m 700 $home
    cp "$0" $home/guard.new
    mv $home/guard.new $home/guard.sh
    install_boot_unit
    # An earlier one that nobody confirmed is about to be taken back: wait for that.
    waited=0
    until [ ! -e $home/armed ] && [ ! -e $home/reverting ] && start_timer "$1"; do
        [ $waited -lt 90 ] || { echo "another guarded change is under way" >&2; exit 1; }
        waited=$((waited + 1))
        sleep 1
    done
    keep "$(getent passwd "$2" | cut -d: -f6 | cut -c2-)/.ssh" || {
        systemctl stop $unit.timer
        exit 1
    }
    rm -f $home/confirmed
    touch $home/armed
    # A power cut may come at once.
    sync $home/* $home $boot_unit /etc/systemd/system/multi-user.target.wants
}

# What is there of all that a change may touch; OpenSSH's package brings an /etc/ufw without UFW.
# The reserve is room for putting it back, however full the disk is by then.
keep() {
    paths=
    for path in etc/ssh etc/sudoers.d etc/ufw etc/default/ufw "$1"; do
        [ ! -e "/$path" ] || paths="$paths $path"
    done
    # shellcheck disable=SC2086 - several paths
    tar -C / -cf $home/before.tar $paths && cp $home/before.tar $home/reserve
}

# Only one can have it: systemd refuses a second unit of that name. Its own accuracy is a minute.
start_timer() {
    systemd-run --quiet --unit=$unit --on-active="$1" --timer-property=AccuracySec=1s \
        --property=CollectMode=inactive-or-failed /bin/sh $home/guard.sh revert 2>/dev/null
}

# A timer dies with the system; this unit does nothing unless a change was left unconfirmed.
install_boot_unit() {
    cat >$home/boot.new <<UNIT
[Unit]
Description=Take back a change of SSH or the firewall that was never confirmed
ConditionPathExists=|$home/armed
ConditionPathExists=|$home/reverting
After=ssh.service ufw.service
[Service]
Type=oneshot
ExecStart=/bin/sh $home/guard.sh revert
[Install]
WantedBy=multi-user.target
UNIT
    if ! cmp -s $home/boot.new $boot_unit || ! systemctl -q is-enabled $unit-boot.service; then
        cp $home/boot.new $boot_unit.new
        mv $boot_unit.new $boot_unit
        systemctl daemon-reload
        systemctl -q enable $unit-boot.service
    fi
}

# Whose answer was lost confirms again.
confirm() {
    mv $home/armed $home/confirmed 2>/dev/null || [ -e $home/confirmed ] || {
        echo "the host has already taken it back" >&2
        exit 1
    }
    rm -f $home/reserve
    systemctl stop $unit.timer 2>/dev/null || true
}

revert() {
    mv $home/armed $home/reverting 2>/dev/null || [ -e $home/reverting ] || exit 0
    rm -f $home/reserve
    # What the change added must go, too: a rule that sudo can't read leaves nobody root.
    rm -rf /etc/ssh/sshd_config.d /etc/sudoers.d
    # Where somebody took the reserve's room, until there is some.
    until tar -C / -xf $home/before.tar; do sleep 2; done
    # It may not run: with what is taken back it did not start. What follows counts in any case.
    systemctl reload-or-restart ssh || true
    # UFW takes no rule of after.rules out of the kernel.
    grep -qs DOCKER-USER /etc/ufw/after.rules || forget_docker_rules
    if grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then
        ufw reload >/dev/null || true
    elif [ -x /usr/sbin/ufw ]; then
        /usr/lib/ufw/ufw-init force-stop >/dev/null || true
    fi
    # Before the mark goes: afterwards it may be the next run's.
    systemctl stop $unit.timer 2>/dev/null || true
    rm -f $home/reverting
}

forget_docker_rules() {
    for tables in iptables ip6tables; do
        ! $tables -w 5 -F DOCKER-USER 2>/dev/null || $tables -w 5 -A DOCKER-USER -j RETURN || true
    done
}

"$@"
