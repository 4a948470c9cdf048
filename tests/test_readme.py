"""README.md is true: its commands, its example with its output, its tables."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripts.pages import blocks

import spikewright as sw
from spikewright.cli import main
from spikewright.showing.explain import worked_example

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)


def _example() -> tuple[str, str]:
    """The Python block, and the output printed after it."""
    at = [language for language, _ in BLOCKS].index("python")
    return BLOCKS[at][1], BLOCKS[at + 1][1]


def test_the_example_prints_what_is_printed_below_it() -> None:
    """Executed as it stands; every character of the output counts."""
    code, expected = _example()
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(code, "README.md", "exec"), {})

    assert stream.getvalue() == expected


def test_your_own_module_takes_three_lines() -> None:
    """With any trained module and samples: the second example, after the first one's imports."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.ReLU(), torch.nn.Linear(9, 4))
    x = torch.randn(5, 6)
    code = [text for language, text in BLOCKS if language == "python"][1]
    names = {"sw": sw, "model": model, "x": x}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "README.md", "exec"), names)

    assert len(code.splitlines()) == 3
    assert sum(counts.sum() for counts in names["conversion"].run(x).spike_counts().values())


@pytest.mark.slow
def test_the_demonstration_prints_the_table_at_the_top(tmp_path: Path) -> None:
    """The whole demonstration: its title and every row."""
    shown = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    printed = [line.split() for line in shown.stdout.splitlines() if line.strip()]
    expected = [line.split() for line in BLOCKS[0][1].splitlines() if line.strip()]

    assert shown.exit_code == 0
    assert printed[: len(expected)] == expected


def test_the_worked_example_is_what_runs() -> None:
    """Each row of the table, from a run at that scale."""
    rows = [row for scale in (None, 1, 5, 10) for row in worked_example(scale).rows]
    table = [f"| {name} | {' | '.join(cells)} |" for name, cells in rows]

    assert [line for line in README.splitlines() if re.match(r"\| (rate|s =)", line)] == table


def test_every_command_is_named() -> None:
    """The list of commands is complete."""
    assert all(f"`{name}`" in README for name in main.commands)
