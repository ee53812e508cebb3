#!/usr/bin/env bash
# packaging/test_oci.sh LAYOUT: checks an image of build_oci.sh as a runtime would see it: each blob has the digest it is named
# by, the image unpacks, and what it says is to be run starts as its user in namespaces of its own, takes an event,
# runs a worker, and ends. As root. Prints what holds; ends with status 1 at the first thing that does not.
set -euo pipefail
layout=$(realpath "$1")
folder=$(mktemp -d /var/tmp/verge-image.XXXXXX)
trap 'rm -rf "$folder"' EXIT
held() { printf 'holds: %s\n' "$1"; }

for blob in "$layout"/blobs/sha256/*; do
  [ "$(sha256sum <"$blob" | cut -d' ' -f1)" = "$(basename "$blob")" ]
done
held "$(ls "$layout"/blobs/sha256 | wc -l) blobs have the digests they are named by"
tag=$(umoci ls --layout "$layout")
umoci unpack --image "$layout:$tag" "$folder/bundle"
held "umoci unpacks it: $(du -sh "$folder/bundle/rootfs" | cut -f1)"
for licence in GPL-3 LGPL-2.1; do [ -s "$folder/bundle/rootfs/usr/share/common-licenses/$licence" ]; done
[ -s "$folder/bundle/rootfs/usr/share/doc/ca-certificates/copyright" ]
grep -q '^Files: node_modules/preact/' "$folder/bundle/rootfs/usr/share/doc/verge/copyright"
held "the licences of what is in it are in it"
python3 - "$folder/bundle/config.json" <<'PYTHON'
import json, sys
process = json.load(open(sys.argv[1]))["process"]
assert process["args"] == ["/usr/bin/verge", "node", "--config", "/etc/verge/verge.toml"], process["args"]
assert process["user"]["uid"] == 10001 and process["cwd"] == "/var/lib/verge", process
PYTHON
held "it runs verge node as a user of its own"

# As a runtime does it: the image's root, namespaces of its own, its user. What asks it is outside its root.
cat >"$folder/run.sh" <<'RUN'
set -euo pipefail
root=$1/bundle/rootfs
ip link set lo up
mkdir -p "$root/proc" "$root/dev" && mount -t proc proc "$root/proc"
for device in null zero random urandom; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
printf 'console.log("from a worker", 6 * 7);\n' >"$root/tmp/w.js"
in_image() { exec setpriv --no-new-privs chroot --userspec=10001:10001 --groups= "$root" "$@"; }
(in_image /usr/bin/verge version)
(in_image /usr/bin/verge check /etc/verge/verge.toml)
(in_image /usr/bin/verge plan --help) | grep -q latency
in_image /usr/bin/verge node --config /etc/verge/verge.toml --ready-file /tmp/ready.json & node=$!
for i in $(seq 100); do [ -e "$root/tmp/ready.json" ] && break; sleep 0.1; done
curl -sS --fail-with-body -H 'Content-Type: application/json' -d '{"n":1}' 'http://127.0.0.1:8080/v1/events?topic=image/test&priority=critical'
curl -sS --fail http://127.0.0.1:9180/readyz
kill $node
wait $node
(in_image /usr/bin/verge events query --data-dir /var/lib/verge --json) | grep -q image/test
(in_image /usr/bin/verge worker run /tmp/w.js) | grep -q 'from a worker 42'
RUN
unshare --mount --pid --net --fork --kill-child bash "$folder/run.sh" "$folder" >"$folder/log" 2>&1 || { tail -20 "$folder/log" >&2; exit 1; }
held "starts as that user, who can gain no privileges, takes an event, keeps it, and ends; a worker runs"
