#!/usr/bin/env bash
# Fuzzes one target for some seconds from its corpus, with ASan and UBSan.
#   tests/fuzz/run.sh TARGET [SECONDS]
# What it finds stays in build-fuzz/TARGET; a crash ends it with a status that is not 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=${1:?"a target of tests/fuzz/meson.build, like gguf"}
seconds=${2:-60}

packages=(clang libclang-rt-14-dev meson ninja-build pkg-config libc6-dev libuv1-dev libmicrohttpd-dev
    libgnutls28-dev zlib1g-dev libcjson-dev libhttp-parser-dev libcmocka-dev)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get -qq update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true -Dcuda=disabled -Dopenmp=disabled \
    -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C build-fuzz "tests/fuzz/fuzz_$target"
mkdir -p "build-fuzz/$target"
exec "build-fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -artifact_prefix="build-fuzz/$target/" \
    "build-fuzz/$target" "tests/fuzz/corpus/$target"
