#!/usr/bin/env bash
# Builds the Dockerfile for real and runs the image, with no Docker daemon: buildah in a chroot, on
# a base image made by debootstrap. Ends with a line `N passed, N failed, N skipped`.
# MOED_TEST_MIRROR names another Debian mirror.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$PWD/build-tests/container
mirror=${MOED_TEST_MIRROR:-http://deb.debian.org/debian}
base=docker.io/library/debian:bookworm-slim
port=$((20000 + RANDOM % 20000))
url=http://127.0.0.1:$port
passed=0 failed=0

finish() {
    [ -z "${container:-}" ] || { quiet b rm --all; quiet b rmi --prune; }
    echo "$passed passed, $failed failed, $1 skipped"
    [ "$failed" -eq 0 ]
    exit
}

skip_all() {
    echo "skip  container: $*"
    finish 1
}

b() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
quiet() { "$@" >"$work/last.log" 2>&1; }

# One check: its name, and a command that must succeed; what that printed is shown if it does not.
check() {
    local name=$1
    shift
    if quiet "$@"; then
        echo "ok    $name"
        passed=$((passed + 1))
    else
        echo "FAIL  $name"
        sed 's/^/      /' "$work/last.log" | tail -40
        failed=$((failed + 1))
        return 1
    fi
}

# A Debian as small as the official slim image or nearly so, and this machine's way to its mirrors.
make_base() {
    local root=$work/base
    rm -rf "$root"
    debootstrap --variant=minbase bookworm "$root" "$mirror" || return 1
    apt-config dump | grep -E '^Acquire::(https?|Check-)' >"$root/etc/apt/apt.conf.d/99host"
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs"
        cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
        cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    fi
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    tar -C "$root" --exclude=./dev/* -cf "$work/slim.tar.new" . && mv "$work/slim.tar.new" "$work/slim.tar"
    rm -rf "$root"
}

tag_base() {
    local scratch
    scratch=$(b from scratch) && b add "$scratch" "$work/slim.tar" / &&
        b config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$scratch" &&
        b commit --rm "$scratch" "$base"
}

inside() { b run --isolation chroot --volume "$work/models:/models:$mode" "$container" -- "$@"; }
mode=ro

configured() { # FIELD EXPECTED
    local found
    found=$(b inspect --type image --format "{{$1}}" moed)
    echo "$1: found $found, expected $2"
    [ "$found" = "$2" ]
}

most_mb=100
is_small() {
    local size
    size=$(b images --format '{{.Size}}' moed)
    echo "the image has $size, the limit is $most_mb MB"
    awk -v size="$size" -v most=$most_mb 'BEGIN { split(size, part, " "); exit !(part[2] == "MB" && part[1] + 0 <= most) }'
}
has_no_compiler() { ! inside /bin/sh -c 'command -v gcc cc clang ld make python3'; }
starts_without_a_shell() { [ "$(b run --isolation chroot "$container" -- /usr/bin/head -c 4 /usr/bin/moed | tail -c 3)" = ELF ]; }

runs_as_nobody() { [ "$(inside /usr/bin/id -u)" = 65532 ]; }
models_are_read_only() { ! inside /bin/sh -c 'echo x > /models/x'; }
synthesises() { mode=rw inside /usr/bin/moed synth /models/model.gguf --preset tiny --force; }
becomes_ready() {
    for _ in $(seq 50); do
        inside /usr/bin/moed health "$url" && return 0
        kill -0 "$server" || { cat "$work/server.log"; return 1; }
        sleep 0.2
    done
    return 1
}

answers() {
    local row
    row=$(awk 'BEGIN { for (i = 0; i < 256; i++) printf "%s%.2f", i ? "," : "", sin(i) }')
    curl -sS --fail-with-body "$url/v1/moe/forward" -H 'Content-Type: application/json' \
        -d "{\"hidden_states\": [[$row]]}" | grep '"shape": *\[1, *256\]'
}

# The process called moed below process $1; any thread of buildah may have started it.
moed_below() {
    local child
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
        [ "$(cat "/proc/$child/comm")" = moed ] && echo "$child" && return
        moed_below "$child"
    done
}

drains() {
    local pid
    pid=$(moed_below "$server")
    echo "moed is process ${pid:-unknown}"
    [ -n "$pid" ] && kill -TERM "$pid" && wait "$server"
}

[ "$(id -u)" -eq 0 ] || skip_all "buildah in a chroot needs root"
for tool in buildah debootstrap curl; do
    command -v "$tool" >/dev/null || skip_all "$tool is not installed"
done
mkdir -p "$work/models" && chmod 777 "$work/models"
if [ ! -f "$work/slim.tar" ]; then
    quiet make_base || skip_all "debootstrap from $mirror failed: $(tail -1 "$work/last.log")"
fi
quiet b inspect --type image "$base" || quiet tag_base ||
    skip_all "buildah cannot make an image here: $(tail -1 "$work/last.log")"

check "the Dockerfile builds" b bud --isolation chroot --format docker --pull-never -t moed . || finish 0
check "runs as 65532" configured .Docker.Config.User 65532:65532
check "enters moed" configured .Docker.Config.Entrypoint "[/usr/bin/moed]"
check "serves /models/model.gguf" configured .Docker.Config.Cmd \
    "[serve /models/model.gguf --listen 0.0.0.0:8080]"
check "is stopped by SIGTERM" configured .Docker.Config.StopSignal SIGTERM
check "asks itself for its health" configured .Docker.Config.Healthcheck.Test \
    "[CMD /usr/bin/moed health]"
container=$(b from --pull-never moed) || { echo "FAIL  no container from the image"; failed=$((failed + 1)); finish 0; }
check "is at most $most_mb MB" is_small
check "has no compiler" has_no_compiler
check "starts a program, not a script" starts_without_a_shell
check "moed --version" inside /usr/bin/moed --version
check "is nobody inside" runs_as_nobody
check "moed synth" synthesises
check "the model's volume is read-only" models_are_read_only

inside /usr/bin/moed serve /models/model.gguf --listen "127.0.0.1:$port" >"$work/server.log" 2>&1 &
server=$!
check "becomes healthy" becomes_ready
check "answers a forward pass" answers
check "SIGTERM drains and exits with 0" drains
left=$(moed_below "$server") # only where it did not drain
[ -z "$left" ] || kill -KILL "$left"
b images --format '{{.Name}} {{.Size}}' | sed 's/^/      size of /'
finish 0
