#!/usr/bin/env bash
# tests/release/in_debian.sh RELEASE COMMAND...: runs a command in another release of Debian (bookworm, trixie, …), in this
# folder: its system is made by debootstrap in build/RELEASE/system, and sees this tree at its own place, but for build/:
# what is built and unpacked there is kept in build/RELEASE/build, and its compiler cache in build/RELEASE/ccache. As
# root. What it mounts and starts ends with it; the release's packages change nothing of this machine.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
release=$1
shift
place="$root/build/$release"
system="$place/system"
mkdir -p "$place/build" "$place/ccache"
if [ ! -e "$place/complete" ]; then
  command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap >/dev/null
  rm -rf "$system"
  debootstrap --variant=minbase "$release" "$system" ${DEBIAN_MIRROR:-} >"$place/debootstrap.log" 2>&1 || {
    tail -5 "$place/debootstrap.log" >&2
    exit 1
  }
  # The package lists are fetched, and what this machine trusts is trusted there: npm asks with TLS.
  if [ -d /usr/local/share/ca-certificates ]; then
    mkdir -p "$system/usr/local/share/ca-certificates" && cp -r /usr/local/share/ca-certificates/. "$system/usr/local/share/ca-certificates"
  fi
  chroot "$system" /bin/bash -euc 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ca-certificates git iproute2 procps' \
    >>"$place/debootstrap.log" 2>&1 || { tail -5 "$place/debootstrap.log" >&2; exit 1; }
  # Packages shall start no services there.
  printf '#!/bin/sh\nexit 101\n' >"$system/usr/sbin/policy-rc.d" && chmod 755 "$system/usr/sbin/policy-rc.d"
  touch "$place/complete"
fi
mkdir -p "$system$root" "$system/root/.cache/ccache"
cp /etc/hosts "$system/etc/hosts"  # tests look this machine up by its name

export root place system
exec unshare --mount --pid --fork --kill-child /bin/bash -euc '
  mount --make-rprivate /
  mount --bind "$root" "$system$root"
  mount --bind "$place/build" "$system$root/build"
  mount --bind "$place/ccache" "$system/root/.cache/ccache"
  mount -t proc proc "$system/proc"
  mount --rbind /sys "$system/sys"
  mount --rbind /dev "$system/dev"
  cd "$root"
  exec chroot "$system" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt /bin/bash -euc "cd \"\$0\"; exec \"\$@\"" "$root" "$@"
' in_debian "$@"
