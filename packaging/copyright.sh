#!/usr/bin/env bash
# packaging/copyright.sh BUILD_DIR: the copyright file of what BUILD_DIR holds, on standard output: our own, what npm packages
# that are bundled ask to be said, and headers that are compiled in (docs/decisions/0002-dependencies.md).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
built=$(realpath "$1")
headers=()
for library in libcli11-dev libfmt-dev libspdlog-dev libtomlplusplus-dev libxxhash-dev libsimdjson-dev; do
  headers+=("/usr/share/doc/$library/copyright" '*')
done
for v8 in "$root"/build/deps/libnode/usr/share/doc/libnode-dev/copyright /usr/share/doc/libnode-dev/copyright; do
  if [ -e "$v8" ]; then
    headers+=("$v8" 'deps/v8/*')
    break
  fi
done
# A release build is in a folder of its own, and its programs above that.
[ -e "$built/web_platform_modules.json" ] || built="$built/release"
node "$root/packaging/copyright.mjs" debian "$root/packaging/copyright" \
  "$built/web_platform_modules.json" "$root/build/deps/web/node_modules" \
  "$built/dashboard/modules.json" "$root/build/deps/dashboard/node_modules" -- "${headers[@]}"
