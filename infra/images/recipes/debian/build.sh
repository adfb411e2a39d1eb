#!/bin/sh
# A minimal Debian root, as a tar on standard output.
# usage: build.sh SUITE MIRROR [SECURITY-MIRROR]   (mirrors as this machine's apt is configured)
set -eu
suite=$1
mirror=$2
security=${3:-}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 1' INT TERM

debootstrap --variant=minbase "$suite" "$root" "$mirror" >&2
{
    echo "deb $mirror $suite main"
    echo "deb $mirror $suite-updates main"
    [ -z "$security" ] || echo "deb $security $suite-security main"
} > "$root/etc/apt/sources.list"

# What no container reads, and what would differ from one build to the next.
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* \
    "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old \
    "$root"/var/log/* "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id
find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
# No service starts while a package is configured in an image.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

tar --sort=name --mtime=@1767225600 --clamp-mtime --numeric-owner --one-file-system \
    -C "$root" -c .
