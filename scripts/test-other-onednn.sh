#!/usr/bin/env bash
# Runs the engine's tests against the oneDNN generation that this host does not have: in a Debian 13 root on Debian 12 hosts and
# the other way round. Needs root and a Debian mirror; says why when it skips.
set -euo pipefail
cd "$(dirname "$0")/.."
skip() { echo "skipped: $1"; exit 0; }

[ "$(id -u)" = 0 ] || skip "a chroot needs root"
[ -f /etc/debian_version ] || skip "this is no Debian host"
case "$(cut -d. -f1 /etc/debian_version)" in
  12) suite=trixie; package=libdnnl3.6 ;;
  13) suite=bookworm; package=libdnnl2 ;;
  *) skip "only Debian 12 and 13 are known here" ;;
esac
command -v debootstrap > /dev/null || apt-get install -y --no-install-recommends debootstrap > /dev/null 2>&1 \
  || { apt-get update > /dev/null 2>&1 && apt-get install -y --no-install-recommends debootstrap > /dev/null 2>&1; } || skip "debootstrap cannot be installed"
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2> /dev/null | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || skip "no Debian mirror in the apt sources"

root="${FETTLE_OTHER_ROOT:-${TMPDIR:-/tmp}/fettle-$suite}"
if [ ! -e "$root/.ready" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase "$suite" "$root" "$mirror" > "$root.log" 2>&1 || skip "debootstrap of $suite failed, see $root.log"
  cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2> /dev/null || true
  chroot "$root" sh -c "apt-get update && apt-get install -y --no-install-recommends $package" >> "$root.log" 2>&1 || skip "$package cannot be installed, see $root.log"
  touch "$root/.ready"
fi

here="$root/fettle"
mkdir -p "$here" "$root/proc" "$root/dev"
cleanup() {
  for m in "$here" "$root/proc" "$root/dev"; do mountpoint -q "$m" && umount "$m"; done
}
trap cleanup EXIT
mount --bind "$PWD" "$here"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/dev" || mount --bind /dev "$root/dev"
# node_modules may be a link out of the repository
modules=$(readlink -f node_modules)
if [ "$modules" != "$PWD/node_modules" ]; then skip "node_modules is a link, which a chroot cannot follow"; fi
chroot "$root" /fettle/node_modules/.bin/node /fettle/node_modules/vitest/vitest.mjs run --root /fettle src/onednn src/tensor src/nn
