#!/usr/bin/env bash
# packaging/test_deb.sh PACKAGE [FOLDER]: installs the package as an older version in a fresh Debian 12 (made in FOLDER by
# debootstrap, or used as it is there), starts the node, stores an event, upgrades, and removes and purges it. As root.
# Prints what holds; ends with status 1 at the first thing that does not.
set -euo pipefail
package=$(realpath "$1")
folder=${2:-}
if [ -z "$folder" ]; then
  folder=$(mktemp -d /var/tmp/verge-package.XXXXXX)
  chmod 755 "$folder"  # it is the root of other users
  trap 'rm -rf "$folder" "$folder.log"' EXIT
fi
if [ ! -e "$folder/etc/debian_version" ]; then
  command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap
  debootstrap --variant=minbase bookworm "$folder" ${DEBIAN_MIRROR:-} >"$folder.log" 2>&1 || { tail -5 "$folder.log" >&2; exit 1; }
fi
# A daemon must not be started by the package where there is no systemd; nor in this folder.
printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d" && chmod 755 "$folder/usr/sbin/policy-rc.d"
cp "$package" "$folder/var/tmp/verge.deb"
# The same, and dpkg takes it for an older one, with another unit and another page of its manual.
older=$(mktemp -d)
dpkg-deb -R "$package" "$older/verge"
sed -i 's/^Version: .*/Version: 0.0.1/' "$older/verge/DEBIAN/control"
echo "# of before" >>"$older/verge/lib/systemd/system/verge.service"
gzip -9nc </dev/null >"$older/verge/usr/share/man/man1/verge-before.1.gz"
dpkg-deb --root-owner-group -b "$older/verge" "$folder/var/tmp/verge-before.deb" >/dev/null
rm -rf "$older"

# In namespaces of its own: its processes end with it, and its ports are nobody else's.
inside() { unshare --mount --pid --net --fork --kill-child --mount-proc="$folder/proc" chroot "$folder" /bin/bash -euc "ip link set lo up 2>/dev/null || true; $1"; }
outside() { chroot "$folder" /bin/bash -euc "$1"; }
held() { printf 'holds: %s\n' "$1"; }

outside 'DEBIAN_FRONTEND=noninteractive apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends iproute2 curl /var/tmp/verge-before.deb' >"$folder.log" 2>&1 || { tail -20 "$folder.log" >&2; exit 1; }
held "installs, with what it depends on"
outside 'verge version && verge check /etc/verge/verge.toml && su -s /bin/sh verge -c "verge check /etc/verge/verge.toml"' >/dev/null
held "the configuration is good, and the node's user may read it"
[ "$(outside 'stat -c "%U %a" /var/lib/verge')" = "verge 750" ]
held "the data directory is the node's alone"
outside 'grep -q "^Files: node_modules/preact/" /usr/share/doc/verge/copyright && grep -q "^Files: libcli11-dev/" /usr/share/doc/verge/copyright'
held "whose work is in it, and under which licences, stands in its copyright file"
outside 'echo "# kept" >>/etc/verge/verge.toml
  dpkg-statoverride --update --add root verge 2750 /etc/verge'

# Starts the node as its unit does, but for what only systemd can do; stores an event and finds it.
run_node='
  rm -f /tmp/ready.json
  setpriv --reuid verge --regid verge --init-groups verge node --config /etc/verge/verge.toml --ready-file /tmp/ready.json 2>/tmp/node.log & node=$!
  for i in $(seq 100); do [ -e /tmp/ready.json ] && break; sleep 0.1; done
  curl -sS --fail-with-body -H "Content-Type: application/json" -d "{\"n\":1}" "http://127.0.0.1:8080/v1/events?topic=package/test&priority=critical" >/dev/null
  curl -sS --fail http://127.0.0.1:9180/readyz >/dev/null
  kill $node; wait $node'
inside "$run_node"
held "starts as the user verge, takes an event, and ends"
before=$(outside 'setpriv --reuid verge --regid verge --init-groups verge events query --data-dir /var/lib/verge --json | wc -l')
[ "$before" -ge 1 ]

outside 'dpkg -i /var/tmp/verge.deb' >"$folder.log" 2>&1 || { tail -20 "$folder.log" >&2; exit 1; }
outside 'grep -q "# kept" /etc/verge/verge.toml
  test ! -e /usr/share/man/man1/verge-before.1.gz && ! grep -q "# of before" /lib/systemd/system/verge.service'
[ "$(outside 'stat -c "%U %G %a" /etc/verge')" = "root verge 2750" ]
[ "$(outside 'dpkg-query -W -f "\${Version}" verge')" = "$(dpkg-deb -f "$package" Version)" ]
[ "$(outside 'setpriv --reuid verge --regid verge --init-groups verge events query --data-dir /var/lib/verge --json | wc -l')" = "$before" ]
held "an upgrade from an older version keeps configuration, rights that the administrator gave, and data ($before events)"
outside 'export DPKG_MAINTSCRIPT_PACKAGE=verge DPKG_MAINTSCRIPT_NAME=postinst; sh -e /var/lib/dpkg/info/verge.postinst abort-remove && sh -e /var/lib/dpkg/info/verge.postinst abort-upgrade'
held "a removal that is given up leaves it as it was"
outside 'apt-get remove -q -y verge && test ! -e /usr/bin/verge && test -d /var/lib/verge/spool && test -e /etc/verge/verge.toml' >"$folder.log" 2>&1
held "a removal keeps configuration and data"
outside 'dpkg-statoverride --remove /etc/verge && apt-get purge -q -y verge && test ! -e /var/lib/verge && test ! -e /etc/verge && ! getent passwd verge' >"$folder.log" 2>&1
held "a purge leaves nothing"
