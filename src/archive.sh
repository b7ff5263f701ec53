#!/bin/sh
# A static library whose names cannot meet a program's: all archives become one object, in which what
# is hidden from users of the shared library is hidden too. moed_error_name, which two of the
# libraries have, may be there twice.
# Usage: archive.sh OUT OBJCOPY AR CC… -- ARCHIVE…
set -eu
out=$1 objcopy=$2 ar=$3
shift 3
link=
while [ "$1" != -- ]; do
    link="$link $1"
    shift
done
shift
# shellcheck disable=SC2086 # words of a command
$link -r -nostdlib -o "$out.o" -Wl,--whole-archive "$@" -Wl,--no-whole-archive
"$objcopy" --localize-hidden --wildcard --keep-global-symbol='moed_*' --weaken-symbol=moed_error_name \
    "$out.o"
rm -f "$out"
"$ar" rcs "$out" "$out.o"
