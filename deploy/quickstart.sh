#!/usr/bin/env bash
# From a fresh clone on Debian 12 to an answer: installs what is missing, builds, makes a model,
# serves it, asks it something. May be run again at any time.
#   deploy/quickstart.sh [--once] [MODEL.gguf]
# --once stops after the answer. A MODEL.gguf of yours is served instead of a synthetic layer.
# MOED_ARG_LISTEN (the first address is asked), MOED_ARG_TLS_CERT, MOED_ARG_API_KEY_FILE and the other
# variables of `moed serve` apply.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

once=no
model=

fail() { # STATUS WHY
    echo "quickstart: $2" >&2
    exit "$1"
}

for word in "$@"; do
    case "$word" in
        --once) once=yes ;;
        --help | -h) sed -n '2,/^set/ s/^# \?//p' deploy/quickstart.sh; exit 0 ;;
        -*) fail 2 "unknown option $word; usage: deploy/quickstart.sh [--once] [MODEL.gguf]" ;;
        *) model=$word ;;
    esac
done

say() { printf '\n== %s\n' "$*"; }

# Names of those of the packages that are not installed.
missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

install_missing() {
    local packages sudo=
    mapfile -t packages < <(missing "$@")
    [ ${#packages[@]} -gt 0 ] || return 0
    say "installing ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail 1 "run as root, or install sudo"
        sudo=sudo
    fi
    $sudo apt-get -qq update
    $sudo env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
        apt-get -qq install -y --no-install-recommends "${packages[@]}" >/dev/null
}

# nvcc takes minutes, which only a machine with a GPU has use for.
build() {
    local cuda=disabled
    [ ! -e /dev/nvidiactl ] || cuda=auto
    [ -f build/build.ninja ] ||
        meson setup build --buildtype=release -Dtests=disabled -Dcuda=$cuda >/dev/null
    if [ -t 1 ]; then
        ninja -C build src/cli/moed # one line that counts
    else
        ninja -C build --quiet src/cli/moed
    fi
}

# Rows of `$2` made-up numbers, `$1` of them, as a request.
request() {
    awk -v rows="$1" -v hidden="$2" 'BEGIN {
        printf "{\"hidden_states\": ["
        for (r = 0; r < rows; r++) {
            printf "%s[", r ? ", " : ""
            for (c = 0; c < hidden; c++) printf "%s%.3f", c ? "," : "", sin(r + 0.37 * c)
            printf "]"
        }
        printf "], \"return\": [\"output\", \"routing\", \"timing\"]}"
    }'
}

# The answer with its long lists cut short.
shorten() {
    sed -E 's/(\[\[?(-?[0-9.eE+-]+,){3})[^]]*\]/\1 ...]/g'
}

# How our own server is asked: the words of curl, and of `moed health`; `url` is what comes before
# the path. A certificate need not be for the name by which we reach it.
choose_way() {
    local scheme=http key
    listen=${MOED_ARG_LISTEN:-127.0.0.1:8080}
    listen=${listen%%,*}
    curl=(curl -sS) health=()
    if [ -n "${MOED_ARG_TLS_CERT:-}" ]; then
        scheme=https
        curl+=(--insecure) health+=(--insecure)
    fi
    case "$listen" in
        unix:@*) curl=(curl -sS --abstract-unix-socket "${listen#unix:@}") url=http://localhost ;;
        unix:*) curl=(curl -sS --unix-socket "${listen#unix:}") url=http://localhost ;;
        fd:*) fail 2 "MOED_ARG_LISTEN is $listen: expected HOST:PORT or unix:PATH, which can be asked" ;;
        *:0) fail 2 "MOED_ARG_LISTEN is $listen: expected a port that is known before" ;;
        *)
            [ -z "${MOED_ARG_TLS_CLIENT_CA:-}" ] ||
                fail 2 "MOED_ARG_TLS_CLIENT_CA is set, and we have no certificate to show: leave it out"
            url=$scheme://$listen ;;
    esac
    case "$listen" in
        unix:*) health=("$listen") ;;
        *) health=("$url" "${health[@]}") ;;
    esac
    said="${curl[*]}"
    if [ -n "${MOED_ARG_API_KEY_FILE:-}" ]; then
        key=$(grep -m 1 -oE '^[^#[:space:]]+' "$MOED_ARG_API_KEY_FILE") ||
            fail 1 "found no key in $MOED_ARG_API_KEY_FILE"
        said+=" -H \"X-API-Key: …\""
        curl+=(-H @/dev/fd/3)
        exec 3< <(printf 'X-API-Key: %s\n' "$key") # not among the words that others may see
    fi
}

# Until the server says that it is ready, or ends; what `moed health` finds wrong with it otherwise
# does not go away by waiting.
wait_until_ready() {
    local found strange=0
    until found=$(build/src/cli/moed health "${health[@]}" 2>&1); do
        kill -0 "$server" 2>/dev/null || { wait "$server" || exit 1; exit 1; }
        case "$found" in
            *loading* | *refused* | *"No such file"*) strange=0 ;;
            *) strange=$((strange + 1)) ;;
        esac
        [ $strange -lt 100 ] || fail 1 "the server does not become ready: $found"
        sleep 0.1
    done
}

stop() {
    trap '' INT TERM
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
}

choose_way
install_missing gcc libc6-dev meson ninja-build pkg-config libuv1-dev libmicrohttpd-dev \
    libgnutls28-dev zlib1g-dev libcjson-dev libhttp-parser-dev curl ca-certificates

say "building a release in build/"
build

if [ -z "$model" ]; then
    model=build/qwen3-30b-a3b-layer.gguf
    if [ ! -f "$model" ]; then
        say "making a model: one layer of Qwen3-30B-A3B's shape with random weights"
        build/src/cli/moed synth "$model" --preset qwen3-30b-a3b --layers 1 --type q4_k_m
    fi
fi

layer=$(build/src/cli/moed inspect "$model" --json | sed -E 's/.*"layers":\[\{"layer":([0-9]+).*/\1/')
hidden=$(build/src/cli/moed inspect "$model" --json | sed -E 's/.*"layers":\[\{[^}]*"hidden":([0-9]+).*/\1/')

say "serving $model at $listen"
MOED_ARG_LOG_LEVEL=${MOED_ARG_LOG_LEVEL:-warn} build/src/cli/moed serve "$model" &
server=$!
trap stop EXIT
trap 'exit 0' INT TERM
wait_until_ready

say "posting 2 rows of $hidden numbers to layer $layer"
request 2 "$hidden" |
    "${curl[@]}" --fail-with-body --data-binary @- -H 'Content-Type: application/json' \
        "$url/v1/moe/layers/$layer/forward" | shorten
echo

if [ "$once" = yes ]; then
    exit 0
fi
say "it works. Next:
   $said $url/v1/moe/info          what is served
   $said $url/metrics              counters
   build/src/cli/moed bench $model
   README.md                      raw bytes from Python, settings, containers
Ctrl-C stops the server."
wait "$server"
