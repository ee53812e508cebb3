#!/usr/bin/env bash
# packaging/build_oci.sh BUILD_DIR: makes build/package/verge_VERSION_ARCHITECTURE.oci, an OCI image layout (image-spec 1.0) of what
# BUILD_DIR holds: the two programs, the libraries that they load, authorities' certificates, and nothing that is not
# needed: no shell, no package manager. By Debian's umoci; as root.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
built=$(realpath "$1")
version=$(sed -n 's/^project(verge VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
architecture=$(dpkg --print-architecture)
# The same sources give the same image: dates are the last commit's.
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
user=10001

work="$root/build/package/oci"
stage="$work/rootfs"
layout="$root/build/package/verge_${version}_$architecture.oci"
rm -rf "$work" "$layout" && mkdir -p "$stage"

# A library, at its own place. /lib and the like are links into /usr there, as in Debian.
mkdir -p "$stage/usr/lib" "$stage/usr/lib64" "$stage/usr/bin"
for folder in bin lib lib64; do ln -s "usr/$folder" "$stage/$folder"; done
documented=" "
take() {
  local file=$1
  case "$file" in /lib/* | /lib64/*) file="/usr$file" ;; esac
  [ -e "$stage$file" ] && return
  install -D -m 755 "$file" "$stage$file"
  # Whose it is, and under which licence.
  local package
  package=$({ dpkg-query -S "$1" "$file" "$(realpath "$file")" 2>/dev/null || true; } | sed -n '1s/[:,].*//p')
  [ -n "$package" ] || return 0
  case "$documented" in *" $package "*) return 0 ;; esac
  documented="$documented$package "
  install -D -m 644 "/usr/share/doc/$package/copyright" "$stage/usr/share/doc/$package/copyright"
}
licences_named_in() {
  grep -rhoE '/usr/share/common-licenses/[A-Za-z0-9.-]*[A-Za-z0-9]' "$1" | sort -u | while read -r licence; do
    if [ -e "$licence" ]; then echo "$licence"; fi
  done
}
# Those of libnode are in a folder of our own, unless it is installed: they go where the system's are.
libraries_of() { LD_LIBRARY_PATH=${own:-} ldd "$@" | sed -n 's/.* => \(\/[^ ]*\).*/\1/p; s/^\t\(\/[^ ]*\) (.*/\1/p' | sort -u; }
own=$(echo "$root"/build/deps/libnode/usr/lib/*/ 2>/dev/null | tr -d ' ')
system_libraries=$(dirname "$(ldconfig -p | sed -n 's/.*libc\.so\.6 .*=> //p' | head -1)")

install -m 755 "$built/verge" "$stage/usr/bin/verge"
install -D -m 755 "$built/verge-isolate" "$stage/usr/libexec/verge/verge-isolate"
for program in "$stage/usr/bin/verge" "$stage/usr/libexec/verge/verge-isolate"; do
  strip --strip-unneeded --remove-section=.comment "$program"
  patchelf --remove-rpath "$program"
done
# What is loaded only when it is needed: for the planner, for JetStream, and for keys and values.
on_demand=()
for name in 'libCbcSolver\.so\.3(\.1)?' 'libnats\.so\.[0-9]+\.[0-9]+' 'librocksdb\.so\.[0-9]+\.[0-9]+'; do
  file=$(ldconfig -p | sed -nE "s/.*$name .*=> //p" | head -1)
  if [ -n "$file" ]; then on_demand+=("$file"); else echo "build_oci.sh: $name is not installed: left out" >&2; fi
done
for library in $(libraries_of "$built/verge" "$built/verge-isolate" "${on_demand[@]}") "${on_demand[@]}"; do
  case "$library" in
    "$root"/*)
      install -D -m 644 "$library" "$stage/usr$system_libraries/$(basename "$library")"
      for copyright in "$root"/build/deps/libnode/usr/share/doc/libnode[0-9]*/copyright; do
        install -D -m 644 "$copyright" "$stage/usr/share/doc/$(basename "$(dirname "$copyright")")/copyright"
      done
      ;;
    *) take "$library" ;;
  esac
done
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$stage/etc/ssl/certs/ca-certificates.crt"
install -D -m 644 /etc/ssl/openssl.cnf "$stage/etc/ssl/openssl.cnf"

install -D -m 644 "$root/packaging/verge.toml" "$stage/etc/verge/verge.toml"
mkdir -p "$stage/usr/share/doc/verge"
"$root/packaging/copyright.sh" "$built" >"$stage/usr/share/doc/verge/copyright"
for package in ca-certificates openssl; do
  install -D -m 644 "/usr/share/doc/$package/copyright" "$stage/usr/share/doc/$package/copyright"
done
# The texts that those point to.
install -D -m 644 "$root/LICENSE" "$stage/usr/share/common-licenses/Apache-2.0"
for licence in $(licences_named_in "$stage/usr/share/doc"); do
  [ -e "$stage$licence" ] || install -D -m 644 "$(realpath "$licence")" "$stage$licence"
done
printf 'root:x:0:0:root:/:/sbin/nologin\nverge:x:%d:%d:Verge:/var/lib/verge:/sbin/nologin\n' $user $user >"$stage/etc/passwd"
printf 'root:x:0:\nverge:x:%d:\n' $user >"$stage/etc/group"
printf 'hosts: files dns\n' >"$stage/etc/nsswitch.conf"
install -d -m 750 -o $user -g $user "$stage/var/lib/verge"
install -d -m 1777 "$stage/tmp"
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
umoci init --layout "$layout"
umoci new --image "$layout:$version"
umoci insert --image "$layout:$version" --history.created "$created" --history.created_by "packaging/build_oci.sh" "$stage" /
umoci config --image "$layout:$version" --no-history --created "$created" --architecture "$architecture" --os linux \
  --config.user "$user:$user" --config.workingdir /var/lib/verge --config.volume /var/lib/verge \
  --config.entrypoint /usr/bin/verge --config.cmd node --config.cmd --config --config.cmd /etc/verge/verge.toml \
  --config.stopsignal SIGTERM \
  --config.label org.opencontainers.image.title=Verge --config.label "org.opencontainers.image.version=$version" \
  --config.label org.opencontainers.image.licenses=Apache-2.0
umoci gc --layout "$layout"
rm -rf "$work"
echo "$layout"
