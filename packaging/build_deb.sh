#!/usr/bin/env bash
# packaging/build_deb.sh BUILD_DIR ARCHITECTURE: makes build/package/verge_VERSION_ARCHITECTURE.deb of what BUILD_DIR holds
# (verge and verge-isolate). Debian's own tools: dpkg-shlibdeps, dpkg-deb. For another architecture than this machine's:
# with its libraries in build/deps/ARCHITECTURE, where ./dev unpacks them, and its cross-binutils.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
built=$(realpath "$1")
architecture=$2
version=$(sed -n 's/^project(verge VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
# The same sources give the same package: dates are the last commit's.
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
# The tools, the folder below which its libraries are, and how its programs are run here.
tools="" system="" run=()
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
  tools="$(dpkg-architecture -a "$architecture" -q DEB_HOST_GNU_TYPE 2>/dev/null)-"
  system="$root/build/deps/$architecture"
  run=("qemu-$(dpkg-architecture -a "$architecture" -q DEB_HOST_GNU_CPU 2>/dev/null)" -L "$system")
fi

work="$root/build/package/$architecture"
stage="$work/debian/verge"
rm -rf "$work" && mkdir -p "$stage/DEBIAN"

install -D -m 755 "$built/verge" "$stage/usr/bin/verge"
install -D -m 755 "$built/verge-isolate" "$stage/usr/libexec/verge/verge-isolate"
for program in "$stage/usr/bin/verge" "$stage/usr/libexec/verge/verge-isolate"; do
  "${tools}strip" --strip-unneeded --remove-section=.comment "$program"
  # Libraries are where the system has them, not where it was built.
  patchelf --remove-rpath "$program"
done

verge=("${run[@]}" "$built/verge")
"${verge[@]}" manual --directory "$stage/usr/share/man/man1" 2>/dev/null
gzip -9n "$stage"/usr/share/man/man1/*.1
mkdir -p "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions" "$stage/usr/share/fish/vendor_completions.d"
"${verge[@]}" completion bash >"$stage/usr/share/bash-completion/completions/verge"
"${verge[@]}" completion zsh >"$stage/usr/share/zsh/vendor-completions/_verge"
"${verge[@]}" completion fish >"$stage/usr/share/fish/vendor_completions.d/verge.fish"

install -D -m 644 "$root/packaging/verge.service" "$stage/lib/systemd/system/verge.service"
install -D -m 644 "$root/packaging/verge.toml" "$stage/etc/verge/verge.toml"
doc="$stage/usr/share/doc/verge"
mkdir -p "$doc/examples"
"$root/packaging/copyright.sh" "$built" >"$doc/copyright"
cp "$root"/examples/*.toml "$doc/examples/"
printf 'verge (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n -- The Verge authors <verge@example.org>  %s\n' \
  "$version" "$(date -Ru -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"

for script in postinst prerm postrm; do install -m 755 "$root/packaging/maintainer/$script" "$stage/DEBIAN/$script"; done
echo /etc/verge/verge.toml >"$stage/DEBIAN/conffiles"

cd "$work"
printf 'Source: verge\nPackage: verge\n' >debian/control
mkdir -p debian/private
libraries=()
if [ -n "$system" ]; then
  # dpkg's notes of what was unpacked there.
  libraries=("--admindir=$system/dpkg" "-l$system/lib/${tools%-}" "-l$system/usr/lib/${tools%-}")
else
  # libnode's package is not installed where it was only unpacked: dpkg-shlibdeps finds the library, and no package of it.
  for folder in "$root"/build/deps/libnode/usr/lib/*/; do [ -d "$folder" ] && libraries+=("-l$folder"); done
fi
depends=$(DEB_HOST_ARCH="$architecture" dpkg-shlibdeps -O --ignore-missing-info "${libraries[@]}" debian/verge/usr/bin/verge debian/verge/usr/libexec/verge/verge-isolate 2>shlibdeps.log |
  sed 's/^shlibs:Depends=//')
[ -n "$depends" ] || { cat shlibdeps.log >&2; exit 1; }
node=$("${tools}objdump" -p debian/verge/usr/libexec/verge/verge-isolate | sed -n 's/.*NEEDED *libnode\.so\.\([0-9]*\).*/libnode\1/p')
case ", $depends," in *", $node"*) ;; *) depends="$depends, $node" ;; esac
# What is loaded on demand, of the versions that it was built for: JetStream, keys and values, the planner.
on_demand=$(sed -n 's/^\(libnats\|librocksdb\|libCbcSolver\) [^ ]* \([^ ,]*\).*/\2/p' "${system:-/var/lib}/dpkg/info"/*.shlibs | sort -u | paste -sd, | sed 's/,/, /g')
cat >"$stage/DEBIAN/control" <<CONTROL
Package: verge
Version: $version
Architecture: $architecture
Maintainer: The Verge authors <verge@example.org>
Installed-Size: $(du -sk --exclude=DEBIAN "$stage" | cut -f1)
Depends: $depends, adduser
Recommends: ${on_demand:+$on_demand, }ca-certificates
Section: net
Priority: optional
Description: $(cat "$root/packaging/description")
CONTROL
(cd "$stage" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum >DEBIAN/md5sums)
find "$stage" -type d -exec chmod 755 {} +
chmod 750 "$stage/etc/verge"
package="$root/build/package/verge_${version}_$architecture.deb"
dpkg-deb --root-owner-group --build "$stage" "$package" >/dev/null
echo "$package"
