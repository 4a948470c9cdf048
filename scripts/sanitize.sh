#!/usr/bin/env bash
# Builds the native kernels with the address and undefined-behaviour sanitizers and runs their own
# tests, those in tests/native, on every instruction set that this processor has.
#
#     scripts/sanitize.sh [thread]     with "thread", the thread sanitizer instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CXX=${CXX:-g++}
SOURCE=src/spikewright/engines/native/cpp
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all"
[ "${1:-}" = thread ] && SANITIZE="-fsanitize=thread"
FLAGS="-std=c++20 -O1 -g -fno-var-tracking -ffp-contract=off -Wall -Wextra -Wno-psabi -I $SOURCE $SANITIZE"

kernels() {  # kernels NAME FLAGS...: the kernels for one instruction set
    local isa=$1
    shift
    $CXX $FLAGS -DSPIKEWRIGHT_ISA="$isa" "$@" -c "$SOURCE/kernels.cpp" -o "$WORK/$isa.o"
}

tiles() {  # tiles NAME FLAGS...: products of tiles of one kind
    local kind=$1
    shift
    $CXX $FLAGS -DSPIKEWRIGHT_TILES="$kind" "$@" -c "$SOURCE/tiles.cpp" -o "$WORK/tiles_$kind.o"
}

kernels baseline
tiles plain
DEFINES=
case $(uname -m) in
    x86_64 | amd64)
        kernels avx2 -mavx2 -mfma -mbmi -mbmi2 -mpopcnt
        kernels avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mbmi -mbmi2 -mpopcnt
        DEFINES="-DSPIKEWRIGHT_X86 -DSPIKEWRIGHT_AMX"
        tiles amx -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mamx-tile -mamx-int8
        ;;
esac
for part in run dispatch functions; do
    $CXX $FLAGS $DEFINES -c "$SOURCE/$part.cpp" -o "$WORK/$part.o"
done
for test in kernels_test parts_test maps_test ensembles_test senders_test; do
    $CXX $FLAGS $DEFINES "tests/native/$test.cpp" "$WORK"/*.o -pthread -o "$WORK/$test"
    "$WORK/$test"
done
