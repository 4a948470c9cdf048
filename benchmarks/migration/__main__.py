"""Checks every row of the migration pages' tables against the packages that are installed.

    python -m benchmarks.migration [--nengo-dl PYTHON] [WORD...]

    pip install spikingjelly sinabs snntorch nengo nir      # in an environment with Spikewright

NengoDL and keras-spiking need an old TensorFlow, so they run in a Python of their own: 3.10 with
`pip install nengo-dl keras-spiking "tensorflow<2.11" "nengo<4" "numpy<1.24"`. WORD picks rows.
Prints a line a row: what was found, what is wrong, or the module that is missing. Exits with 1
where a row is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from importlib import import_module, metadata
from importlib.util import find_spec

from benchmarks.migration import old_python
from benchmarks.migration.rows import CHECKS, PAGES, NotTriedError, RowCheck, rows

MODULES = ("of_nengo", "of_nengo_dl", "of_ours", "of_sinabs", "of_snntorch", "of_spikingjelly")
PACKAGES = ("spikingjelly", "sinabs", "snntorch", "nengo", "nir", "tonic")


def load() -> None:
    """Register all checks."""
    for name in MODULES:
        import_module(f"benchmarks.migration.{name}")


def outcome(check: RowCheck) -> tuple[str, str]:
    """Run a check: "holds", "wrong" or "not tried", and the finding or reason."""
    if lacking := missing(check):
        return "not tried", f"needs {', '.join(lacking)}"
    try:
        return "holds", check.function()
    except NotTriedError as error:
        return "not tried", str(error)
    except Exception as error:
        traceback.print_exc()
        (reason, *_) = str(error).strip().splitlines() or [""]
        return "wrong", f"{type(error).__name__}: {reason[:200]}"


def missing(check: RowCheck) -> list[str]:
    """The modules that a check needs and that are not here; NengoDL is in a Python of its own."""
    here = {name: bool(find_spec(name)) for name in check.needs if name != "nengo_dl"}
    here["nengo_dl"] = old_python.python() is not None
    return [name for name in check.needs if not here[name]]


def main() -> int:
    """Check the rows that are asked for; 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nengo-dl", metavar="PYTHON", help="a Python that has NengoDL")
    parser.add_argument("words", nargs="*", help="rows with one of these in their first cell")
    given = parser.parse_args()
    if given.nengo_dl:
        os.environ[old_python.VARIABLE] = given.nengo_dl
    warnings.simplefilter("ignore")
    load()
    print(", ".join(f"{n} {metadata.version(n)}" for n in PACKAGES if find_spec(n)))
    ends: dict[str, int] = {}
    for page in PAGES:
        for first in rows(page):
            if given.words and not any(word in first for word in given.words):
                continue
            end, why = outcome(CHECKS[page, first])
            ends[end] = ends.get(end, 0) + 1
            print(f"{end:9} {page}: {first}: {why}", flush=True)
    print(", ".join(f"{count} {end}" for end, count in ends.items()))
    return int("wrong" in ends)


if __name__ == "__main__":
    sys.exit(main())
