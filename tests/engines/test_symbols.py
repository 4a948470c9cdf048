"""No code for one instruction set is linked into that for another: `.ci/run` asks this script."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/sanitize.sh"


def checked(*objects: Path) -> subprocess.CompletedProcess[str]:
    """What the script says of objects."""
    command = ["bash", str(SCRIPT), "symbols", *map(str, objects)]
    return subprocess.run(command, capture_output=True, text=True)


def compiled(folder: Path, name: str, text: str) -> Path:
    """An object of this source."""
    (folder / f"{name}.cpp").write_text(text)
    made = folder / f"{name}.o"
    subprocess.run(
        ["g++", "-std=c++20", "-O0", "-c", folder / f"{name}.cpp", "-o", made], check=True
    )
    return made


def test_the_script_finds_shared_weak_symbols(tmp_path: Path) -> None:
    """Functions of headers and of the standard library; what one object holds alone is no fault."""
    weak = "template <class T> struct Same {{ T of(T x) {{ return x; }} }};\n{0}(int x) {1}"
    body = "{ return Same<int>().of(x); }"
    first = compiled(tmp_path, "first", weak.format("int one", body))
    second = compiled(tmp_path, "second", weak.format("int two", body))
    alone = compiled(tmp_path, "alone", "int three(int x) { return x; }")
    found = checked(first, second)
    assert found.returncode == 1 and "Same<int>::of(int)" in found.stdout
    assert "1 weak symbols in objects for different instruction sets" in found.stderr
    assert checked(first, alone).returncode == 0
