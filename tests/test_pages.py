"""Pages of docs/ are true: code runs and prints what stands below it, tables are whole."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image
from scripts import page_pictures
from scripts.pages import DOCS, NAMES, Page, alike

import spikewright as sw
from slowly import slow_but
from spikewright import encoders
from spikewright._base.budget import NODES
from spikewright.choosing.correction import CORRECTIONS
from spikewright.choosing.rules import RULES
from spikewright.cli import main
from spikewright.conversion import verification_result
from spikewright.diagnosis.causes import CAUSES
from spikewright.diagnosis.layer_losses import PARTS
from spikewright.engines import decoder_cache
from spikewright.measure.energy import TABLES, _registry
from spikewright.modelling import semantic
from spikewright.network.learning import LEARNING_RULES
from spikewright.showing.demo import MODEL
from spikewright.study.search.parameters import space_of
from spikewright.training.surrogates import SURROGATES, surrogate_of

RULES_OF_LEARNING = frozenset(LEARNING_RULES)
TRAINED = {"from_nengo_dl.md", "start.md"}
"""Pages that train a network: machines round otherwise, so numbers are nearly as printed."""
PERCENT = {"index.md": 3, "training.md": 5}
"""Likewise, by how many points the accuracies may differ."""
LARGEST = 60_000
"""Bytes of a page's picture."""
DIFFERENT = 0.015
"""By what share of the range of greys two pictures of one figure may differ on average."""
ELSEWHERE = {"own_layers.md"}
"""Its sections are sessions of their own: `test_own_parts_page.py` and `test_frontend_suite.py`."""
NEEDED = {"nengo.md": ("nengo", "nengo>=4.1"), "nir.md": ("nir", "spikewright[nir]")}
"""The package without which a page's code does not run, and what installs it."""
LEFT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "keras.md": lambda names: "window" in names["network"].layers,
    "nengo.md": lambda names: names["sim"].closed and isinstance(names["network"], sw.Network),
    "nir.md": lambda names: bool((names["after"] == names["before"]).all()),
}
"""What holds of the objects that a page's code leaves, beside what it prints."""
RUN = [n for n in NAMES if n not in ELSEWHERE and "```python" in Page(n).text]


QUICK = {
    "benchmarks.md", "deploy.md", "energy.md", "inputs.md", "keras.md", "nengo.md", "stability.md",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _registries() -> Iterator[None]:
    """What a page registers is known for as long as it runs."""
    before = dict(_registry)
    yield
    _registry.clear()
    _registry.update(before)
    for name in set(LEARNING_RULES) - RULES_OF_LEARNING:
        del LEARNING_RULES._members[name]


def _commands(lines: str) -> None:
    """Commands of a page, as they stand, installing left out."""
    for line in lines.splitlines():
        if line.startswith("spikewright "):
            done = CliRunner().invoke(main, shlex.split(line)[1:])
            assert done.exit_code == 0, (line, done.output)


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", slow_but(QUICK, RUN))
def test_the_examples_print_what_stands_below_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one session, from top to bottom, in an empty folder; a picture is the one that is kept."""
    if name in NEEDED:
        package, install = NEEDED[name]
        pytest.importorskip(package, reason=f"{package} is not installed: pip install '{install}'")
    monkeypatch.chdir(tmp_path)
    page = Page(name)
    printed, names = page.run(_commands if name == "start.md" else None)

    if name in PERCENT:
        points, told = (
            [int(n) for n in re.findall(r"(\d+)%", text)] for text in (printed, page.printed)
        )
        assert len(points) == len(told)
        assert all(abs(a - b) <= PERCENT[name] for a, b in zip(points, told, strict=True))
    elif name == "explore.md":
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", printed)
    elif name in TRAINED:
        assert alike(printed, page.printed)
    else:
        assert printed == page.printed
    if name in LEFT:
        assert LEFT[name](names)
    if "figure" in names:
        assert f"](pictures/{Path(name).stem}.png)" in page.text
        drawn = page_pictures.save(Path(name), names["figure"], tmp_path)
        _check_picture(page_pictures.PICTURES / drawn.name, drawn)


def _check_picture(kept: Path, drawn: Path) -> None:
    """The kept picture is small, and looks like the one that was drawn."""
    assert kept.stat().st_size <= LARGEST
    assert Image.open(drawn).size == Image.open(kept).size
    assert page_pictures.difference(kept, drawn) <= DIFFERENT, kept.name


def test_every_picture_is_drawn_by_its_page() -> None:
    """All of them together are small, and pictures that differ are told apart."""
    kept = sorted(page_pictures.PICTURES.glob("*.png"))
    drawn = {f"{Path(name).stem}.png" for name in page_pictures.drawn()}

    assert drawn | {"benchmarks.png"} == {path.name for path in kept}
    assert sum(path.stat().st_size for path in DOCS.rglob("*.png")) <= 2_000_000
    assert page_pictures.difference(kept[1], kept[1]) == 0
    one, other = (page_pictures.PICTURES / f"{name}.png" for name in ("training", "chips"))
    assert page_pictures.difference(one, other) > DIFFERENT


def _extras() -> set[str]:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    return set(project["project"]["optional-dependencies"]) - {"dev", "docs", "benchmark", "all"}


def _modules() -> list[str]:
    """The modules of models of semantic pointers, by name."""
    found = {name: getattr(semantic, name) for name in semantic.__all__}
    kinds = {name: item for name, item in found.items() if isinstance(item, type)}
    return [n for n, k in kinds.items() if issubclass(k, semantic.Module) and n != "Module"]


NAMED: dict[str, tuple[str, Callable[[], set[str]]]] = {
    "rules": ("choosing.md", lambda: {f"{rule.__name__}(" for rule in RULES.values()}),
    "corrections": ("choosing.md", lambda: {f"{kind.__name__}(" for kind in CORRECTIONS}),
    "parts of the gap": ("guarantees.md", lambda: {f"\n| {part} | " for part in PARTS}),
    "causes": ("guarantees.md", lambda: {f"\n| {cause} | " for cause in CAUSES}),
    "learning rules": ("learning.md", lambda: {f"\n| `{rule}(" for rule in RULES_OF_LEARNING}),
    "modules": ("learning.md", lambda: {f"\n| `{name}(" for name in _modules()}),
    "encoders": ("sequences.md", lambda: {f"`{n}(" for n in {*encoders.__all__} - {"Encoder"}}),
    "extras": ("start.md", lambda: {f"`{extra}`" for extra in _extras()}),
    "loops": ("onnx.md", lambda: {f"up to {NODES} nodes"}),
    "the cache": (
        "modelling.md",
        lambda: {decoder_cache.MODE, decoder_cache.FOLDER, decoder_cache.SIZE},
    ),
    "networks": (
        "modelling.md",
        lambda: {n for n in sw.networks.__all__ if isinstance(getattr(sw.networks, n), type)},
    ),
    "searched": (
        "choosing.md",
        lambda: {
            f"| `{re.sub('^offset .*', 'offset LAYER', name)}` |"
            for name in space_of(sw.convert(MODEL, spiking=True))
        },
    ),
    "the bound": (
        "guarantees.md",
        lambda: {f"    {verification_result._ROUNDINGS} (u + v sqrt(n))"},
    ),
}
"""Page, and what of the code it has to name."""


@pytest.mark.parametrize("what", NAMED)
def test_a_page_names_all_there_is(what: str) -> None:
    """A new member of a registry is on its page the day it is registered."""
    page, wanted = NAMED[what]
    text = Page(page).text

    assert [word for word in wanted() if word not in text] == []


def test_figures_of_tables_are_those_of_the_code() -> None:
    """Of cost tables in picojoules, of surrogates their widths."""
    pattern = r"^\| `([\w-]+)` \| ([\d.]+) pJ \| ([\d.]+) pJ \| ([\d.]+) pJ \|"
    costs = re.findall(pattern, Page("energy.md").text, re.MULTILINE)
    expected: dict[str, Any] = {
        name: (t.accumulate * 1e12, t.multiply_accumulate * 1e12, t.neuron_update * 1e12)
        for name, t in TABLES.items()
    }
    assert {name for name, *_ in costs} == set(expected)
    for name, *values in costs:
        assert tuple(map(float, values)) == pytest.approx(expected[name]), name

    pattern = r'^\| `"([a-z ]+)"` \| .* \| ([\d.]+) \|$'
    widths = dict(re.findall(pattern, Page("training.md").text, re.MULTILINE))
    assert {name: float(width) for name, width in widths.items()} == {
        name: surrogate_of(name).width for name in SURROGATES
    }


def test_numbers_that_are_near_are_alike() -> None:
    """And no others: other words, another number of them, or numbers farther away are not."""
    assert alike("scale 5: 77% right", "scale 5: 79% right")
    for other in ("scale 5: 77% wrong", "scale 5: 90% right", "scale 5: 77% right 1"):
        assert not alike("scale 5: 77% right", other)
