"""Nengo's own installed tests, run against Spikewright's simulator.

    python -m benchmarks.nengo_suite [--only tests.test_node] [--keep DIR] [--document]

Needs an environment with `nengo>=4.1,<4.2`, `pytest<9`, pytest-rng, pytest-allclose, pytest-plt,
SciPy and scikit-learn beside Spikewright. Counted are the collected tests that ask for Nengo's
`Simulator` fixture and that Nengo's own simulator passes; every module runs in a process of its
own, once with each simulator. Printed are both numbers by module, and every test that does not
pass with what pytest says on its one line and, where it is known, the reason. `--keep` remembers
what has been run and does not run it again; `--document` writes the list into `docs/nengo.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.marked import add_document, write_section
from benchmarks.nengo_reasons import REASONS
from benchmarks.results import markdown_table

SIMULATORS = {"nengo": "nengo.Simulator", "spikewright": "spikewright.NengoSimulator"}
LIMIT = 1800  # seconds for one module
Outcomes = dict[str, list[str]]


def main() -> None:
    """Run the command."""
    options = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(options.keep or scratch).resolve()
        kept.mkdir(parents=True, exist_ok=True)
        modules = [m for m in collected(kept) if not options.only or options.only in m]
        found = {
            name: {k: v for m in modules for k, v in outcomes(m, name, kept).items()}
            for name in SIMULATORS
        }
    text = report(found["nengo"], found["spikewright"])
    write_section("suite", text, options.document)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="a part of the names of modules")
    parser.add_argument("--keep", help="a directory that remembers outcomes")
    add_document(parser, "nengo.md")
    return parser.parse_args()


def collected(kept: Path) -> list[str]:
    """The modules with tests that ask for a simulator."""
    path = kept / "collected.json"
    if not path.exists():
        _pytest("nengo", SIMULATORS["nengo"], path, "--collect-only")
    return sorted({name.split("::")[0] for name in json.loads(path.read_text())})


def outcomes(module: str, simulator: str, kept: Path) -> Outcomes:
    """How the tests of a module ended with a simulator."""
    path = kept / f"{simulator}-{module}.json"
    if not path.exists():
        print(f"{module}: {simulator}", file=sys.stderr, flush=True)
        partial = path.with_suffix(".partial")
        _pytest(module, SIMULATORS[simulator], partial)
        partial.rename(path)
    found: Outcomes = json.loads(path.read_text())
    return found


def _pytest(target: str, simulator: str, path: Path, *more: str) -> None:
    root = str(Path(__file__).parents[1])
    places = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable, "-m", "pytest", "--pyargs", target, "-q", "--tb=no", "--disable-warnings",
        "-p", "no:cacheprovider", "-p", "benchmarks.nengo_outcomes", "--outcomes", str(path),
        "-o", f"nengo_simulator={simulator}", "--noexamples", *more,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "PYTHONPATH": places, "MPLBACKEND": "Agg"}
        subprocess.run(
            command, cwd=place, env=environment, timeout=LIMIT, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def report(theirs: Outcomes, ours: Outcomes) -> str:
    """Both numbers by module, and what does not pass, as Markdown."""
    counted = [test for test, (outcome, _) in theirs.items() if outcome == "passed"]
    passing = [test for test in counted if ours.get(test, ["missing"])[0] == "passed"]
    share = 100.0 * len(passing) / max(1, len(counted))
    head = (
        f"{len(theirs)} collected tests ask for a simulator; Nengo's own passes {len(counted)} of "
        f"them. Of these Spikewright's passes **{len(passing)} ({share:.1f} %)**."
    )
    failing = [test for test in counted if test not in set(passing)]
    parts = [head, _table(counted, passing), _listed(failing, ours)]
    return "\n\n".join(part for part in parts if part)


def _table(counted: list[str], passing: list[str]) -> str:
    first, second = (Counter(test.split("::")[0] for test in t) for t in (counted, passing))
    rows = [[f"`{m}`", str(n), str(second[m])] for m, n in sorted(first.items())]
    return markdown_table(["module", "Nengo passes", "Spikewright passes"], rows)


def _listed(failing: list[str], ours: Mapping[str, list[str]]) -> str:
    """Tests that do not pass: name, how many of its variants, and why."""
    variants = Counter(test.split("[")[0] for test in failing)
    messages = {test.split("[")[0]: ours.get(test, ["", "missing"])[1] for test in failing}
    rows = []
    for test, count in sorted(variants.items()):
        name = test.split("::")[-1]
        why = REASONS.get(name) or messages[test].replace("|", "/")
        rows.append([f"`{name}`", str(count), why])
    return markdown_table(["test", "variants", "why it does not pass"], rows) if rows else ""


if __name__ == "__main__":
    main()
