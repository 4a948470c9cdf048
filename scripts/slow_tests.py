"""Writes tests/slow.txt: the tests that the default run leaves to the slow suite.

    python scripts/slow_tests.py [--longest SECONDS]

Runs all tests but those marked slow by hand, on a quiet machine, and lists those that took longer.
`tests/conftest.py` marks them; `pytest -m slow` runs them, and CI runs them with all others.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "tests" / "slow.txt"


def durations(junit: Path) -> Iterator[tuple[str, float]]:
    """The name `test_file.py::Class::test[case]` of each test, and its seconds."""
    for case in ElementTree.parse(junit).iter("testcase"):
        module = case.attrib["classname"].split(".")
        at = next(i for i, part in enumerate(module) if part.startswith("test_"))
        name = "::".join([f"{module[at]}.py", *module[at + 1 :], case.attrib["name"]])
        yield name, float(case.attrib["time"])


def main() -> None:
    """Measure, and write the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--longest", type=float, default=0.1, help="in the default run, in seconds")
    longest = parser.parse_args().longest
    before = LISTED.read_text()
    LISTED.write_text("")  # while they are measured none is left out
    try:
        with tempfile.TemporaryDirectory() as folder:
            junit = Path(folder) / "junit.xml"
            subprocess.run([sys.executable, "-m", "pytest", "-q", f"--junit-xml={junit}"], cwd=ROOT)
            slow = sorted(name for name, seconds in durations(junit) if seconds > longest)
    except BaseException:  # also where the user interrupts it
        LISTED.write_text(before)
        raise
    LISTED.write_text("".join(f"{name}\n" for name in slow))
    print(f"{len(slow)} tests take longer than {longest} s: {LISTED}")


if __name__ == "__main__":
    main()
