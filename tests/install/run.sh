#!/usr/bin/env bash
# Installs BUILD into a temporary prefix, then builds and runs a program against it through
# pkg-config, once with the shared library and once with the static one.
set -euo pipefail
build=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

meson install -C "$build" --destdir "$stage" --quiet
pc=$(find "$stage" -name moed.pc -printf '%h\n')
export PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=$stage
libdir=$(dirname "$pc")
model=$here/../golden/q4_0/model.gguf

passed=0 failed=0
try() { # name, linker arguments…
    local name=$1
    shift
    # shellcheck disable=SC2046 # pkg-config prints words
    if cc -O2 -Wall -Werror -o "$stage/$name" "$here/embed.c" $(pkg-config --cflags moed) "$@" -lm &&
        LD_LIBRARY_PATH=$libdir "$stage/$name" "$model"; then
        passed=$((passed + 1))
    else
        echo "FAILED install: $name"
        failed=$((failed + 1))
    fi
}
# shellcheck disable=SC2046
try shared $(pkg-config --libs moed)
# shellcheck disable=SC2046
try static "$libdir/libmoed.a" $(pkg-config --libs --static moed | tr ' ' '\n' | grep -v -e -lmoed)
# Structs are laid out as before.
# shellcheck disable=SC2046 # pkg-config prints words
if cc -fsyntax-only -Wall -Werror "$here/layout.c" $(pkg-config --cflags moed); then
    passed=$((passed + 1))
else
    echo "FAILED install: the layout of structs"
    failed=$((failed + 1))
fi
# The soname follows the version while that begins with 0.
if readelf -d "$libdir/libmoed.so" | grep -q "SONAME.*libmoed.so.$(pkg-config --modversion moed | cut -d. -f1,2)\]"; then
    passed=$((passed + 1))
else
    echo "FAILED install: $(readelf -d "$libdir/libmoed.so" | grep SONAME), not of $(pkg-config --modversion moed)"
    failed=$((failed + 1))
fi
# libmoed-client, against a server.
"$build/src/cli/moed" serve "$model" --listen "lane:$stage/lane" --listen 127.0.0.1:0 2>"$stage/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$stage"' EXIT
ask() { # name, linker arguments…
    local name=$1
    shift
    # shellcheck disable=SC2046 # pkg-config prints words
    if cc -O2 -Wall -Werror -o "$stage/$name" "$here/client.c" $(pkg-config --cflags moed-client) "$@"; then
        for _ in {1..300}; do # the model may still be loading
            if LD_LIBRARY_PATH=$libdir timeout 120 "$stage/$name" "lane:$stage/lane" 2>"$stage/said"; then
                passed=$((passed + 1))
                return
            fi
            grep -q -e ' loading:' -e ' io_error:' "$stage/said" || break
            sleep 0.2
        done
        cat "$stage/said" "$stage/log" >&2
    fi
    echo "FAILED install: $name"
    failed=$((failed + 1))
}
# shellcheck disable=SC2046
ask client-shared $(pkg-config --libs moed-client)
# shellcheck disable=SC2046
ask client-static "$libdir/libmoed-client.a" $(pkg-config --libs --static moed-client | tr ' ' '\n' | grep -v -e -lmoed)
# A program with a function of the same name would replace one that leaves the library.
for library in "$libdir"/libmoed*.a "$libdir"/libmoed*.so; do
    dynamic=$([[ $library == *.so ]] && echo -D || true)
    # shellcheck disable=SC2086 # an option or nothing
    names=$(nm $dynamic --extern-only --defined-only "$library" | awk 'NF == 3 { print $3 }')
    if [ -n "$names" ] && ! grep -v '^moed_' <<<"$names" >&2; then
        passed=$((passed + 1))
    else
        echo "FAILED install: ${library##*/} shows these names besides moed_*"
        failed=$((failed + 1))
    fi
done
# Without dpkg-dev meson guesses lib64, where nobody looks.
if meson introspect --buildoptions "$here/../../meson.build" 2>/dev/null | python3 -c '
import json, sys
sys.exit({one["name"]: one["value"] for one in json.load(sys.stdin)}["libdir"] != "lib")'; then
    passed=$((passed + 1))
else
    echo "FAILED install: libdir is not lib unless it is given"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
