#!/usr/bin/env bash
# Makes build-tests/cross-sysroot: cmocka for arm64, taken out of its packages, and a machine file
# that says where. apt keeps a state of its own for it, so that this machine does not become one of
# two architectures.
# Exits with 77, saying why, where an AArch64 build cannot be made or run.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

sysroot=$PWD/build-tests/cross-sysroot
work=$sysroot.new

skip() {
    echo "skip  cross: $*"
    exit 77
}

apt_arm64() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$work/apt" \
        -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
[ ! -d "$sysroot" ] || exit 0

rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/root"
touch "$work/apt/status"
(apt_arm64 update && cd "$work/apt" && apt_arm64 download libcmocka0 libcmocka-dev) ||
    skip "apt has no libcmocka for arm64 here"
for package in "$work"/apt/*.deb; do
    dpkg-deb -x "$package" "$work/root" || skip "cannot unpack $package"
done
printf "[constants]\nsysroot = '%s'\n" "$sysroot" >"$work/root/sysroot.ini"
mv "$work/root" "$sysroot" && rm -rf "$work"
