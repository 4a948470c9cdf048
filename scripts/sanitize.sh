#!/usr/bin/env bash
# Builds the native kernels with the address and undefined-behaviour sanitizers and runs their own
# tests, those in tests/native, on every instruction set that this processor has.
#
#     scripts/sanitize.sh [thread] [TEST...]     with "thread", the thread sanitizer instead;
#                                                with names, such as maps_test, those tests alone
#     scripts/sanitize.sh under 'COMMAND' [TEST...]
#                                                builds all instruction sets of the compiler's machine as releases
#                                                do, without sanitizers, and runs the tests by an emulator's command
#     scripts/sanitize.sh symbols [OBJECT...]    builds the kernels as releases do, and fails where objects
#                                                for different instruction sets hold the same weak symbol
#                                                (with OBJECTs, those, each for a set of its own)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CXX=${CXX:-g++}
SOURCE=src/spikewright/engines/native/cpp
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
RUNNER=
if [ "${1:-}" = under ]; then
    RUNNER=${2:?under what?}
    shift 2
fi
# The linker keeps one copy of a weak symbol: code for a processor that this one may not be.
shared_symbols() {  # shared_symbols FOLDER: each of its folders has the objects for one instruction set
    local set found
    found=$(for set in "$1"/*/; do
        ${NM:-nm} "$set"*.o | awk 'NF == 3 && $2 ~ /^[WVuC]$/ && $3 !~ /^DW[.]ref[.]/ {print $3}' | sort -u
    done | sort | uniq -d | c++filt)
    [ -z "$found" ] && return
    echo "$found"
    echo "$(echo "$found" | wc -l) weak symbols in objects for different instruction sets" >&2
    return 1
}
SYMBOLS=
if [ "${1:-}" = symbols ]; then
    SYMBOLS=1
    shift
    for object in "$@"; do
        set=$(mktemp -d "$WORK/set.XXXXXX") && cp "$object" "$set/"
    done
    [ $# -eq 0 ] || { shared_symbols "$WORK"; exit; }
fi
SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all"
if [ "${1:-}" = thread ]; then
    SANITIZE="-fsanitize=thread"
    shift
fi
TESTS=("$@")
[ $# -gt 0 ] || for test in tests/native/*_test.cpp; do TESTS+=("$(basename "$test" .cpp)"); done
for test in "${TESTS[@]}"; do
    [ -f "tests/native/$test.cpp" ] || { echo "no test $test in tests/native" >&2; exit 2; }
done
BASE="-std=c++20 -ffp-contract=off -Wall -Wextra -Wno-psabi -I $SOURCE"
FLAGS="$BASE -O1 -g -fno-var-tracking $SANITIZE"
RELEASE="$BASE -O3 -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden"
RELEASE="$RELEASE -fno-trapping-math -fno-math-errno"
[ -z "$SYMBOLS$RUNNER" ] || FLAGS=$RELEASE

# What this processor has is built with sanitizers; the rest is linked, never run, and built fast.
flags_for() {  # flags_for FEATURE
    if [ -n "$SYMBOLS$RUNNER" ] || [ ! -r /proc/cpuinfo ] || grep -qw "$1" /proc/cpuinfo; then echo "$FLAGS"; else echo "$BASE -O0"; fi
}

kernels() {  # kernels NAME FEATURE FLAGS...: the kernels for one instruction set
    local isa=$1 feature=$2
    shift 2
    $CXX $(flags_for "$feature") -DSPIKEWRIGHT_ISA="$isa" "$@" -c "$SOURCE/kernels.cpp" -o "$WORK/$isa.o"
}

tiles() {  # tiles NAME FEATURE FILE FLAGS...: products of tiles of one kind
    local kind=$1 feature=$2 file=$3
    shift 3
    $CXX $(flags_for "$feature") -DSPIKEWRIGHT_TILES="$kind" "$@" -c "$SOURCE/$file.cpp" -o "$WORK/tiles_$kind.o"
}

kernels baseline processor
tiles plain processor tiles
DEFINES=
case $($CXX -dumpmachine) in
    x86_64-* | amd64-*)
        kernels avx2 avx2 -mavx2 -mfma -mbmi -mbmi2 -mpopcnt
        kernels avx512 avx512f -mavx512f -mavx512bw -mavx512dq -mavx512vl -mbmi -mbmi2 -mpopcnt
        tiles avx2 avx2 tiles_words -mavx2 -mfma
        tiles avx512 avx512f tiles_words -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma
        DEFINES="-DSPIKEWRIGHT_X86 -DSPIKEWRIGHT_AMX"
        tiles amx amx_int8 tiles -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mamx-tile -mamx-int8
        DEFINES="$DEFINES -DSPIKEWRIGHT_VNNI"
        tiles vnni avx512_vnni tiles_vnni -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx512vnni
        ;;
    aarch64-* | arm64-*)
        kernels neon asimd -DSPIKEWRIGHT_NEON
        DEFINES="-DSPIKEWRIGHT_ARM64 -DSPIKEWRIGHT_DOTPROD"
        tiles dotprod asimddp -march=armv8.2-a+dotprod
        ;;
esac
for part in run dispatch functions memory threads tiled_weights; do
    $CXX $FLAGS $DEFINES -c "$SOURCE/$part.cpp" -o "$WORK/$part.o"
done
if [ -n "$SYMBOLS" ]; then
    mkdir "$WORK/other"  # all that runs everywhere
    for object in "$WORK"/*.o; do
        name=$(basename "$object" .o)
        case $name in
            avx2 | avx512 | neon) mkdir "$WORK/$name" && mv "$object" "$WORK/$name/" ;;
            tiles_amx | tiles_avx2 | tiles_avx512 | tiles_vnni | tiles_dotprod)
                mkdir -p "$WORK/$name" && mv "$object" "$WORK/$name/" ;;
            *) mv "$object" "$WORK/other/" ;;
        esac
    done
    shared_symbols "$WORK"
    exit
fi
# GCC's copies of the stack, that show a use after a return, lose the alignment of locals in whole vectors.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=0}
for test in "${TESTS[@]}"; do
    $CXX $FLAGS $DEFINES "tests/native/$test.cpp" "$WORK"/*.o -pthread -o "$WORK/$test"
    echo "$test"
    $RUNNER "$WORK/$test"
done
