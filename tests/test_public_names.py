"""Every public name can be imported, is known to type checkers, and says what it is."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from docs import conf

import spikewright as sw

reference = conf.reference
NAMES = {name: item for names in reference.topics().values() for name, item in names.items()}


def test_the_reference_lists_every_name() -> None:
    """With its first sentence, below its topic; names of `spikewright` itself are all there."""
    page = reference.overview()

    assert all(f"| `{name}` | {page_line(item)} |" in page for name, item in NAMES.items())
    apart = {name for name in sw.__all__ if isinstance(getattr(sw, name), ModuleType)}
    registered = {name.rpartition(".")[2] for name in NAMES}
    assert set(sw.__all__) - apart - registered == set()


def page_line(item: Any) -> str:
    """The first sentence as a cell of a table."""
    return reference.first_line(item).replace("|", "\\|")


def test_type_checkers_are_told_the_same() -> None:
    """`__init__.pyi` imports every public name from where `__init__.py` does, and no other."""
    stub = ast.parse(Path(sw.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    told = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    packages = {n: f"spikewright.{m}" for n, m in sw._PLACES.items()}
    apart = sw._OF_FRAMEWORKS
    modules = {n: f"spikewright.{m}".rpartition(".")[0] for n, m in (sw._MODULES | apart).items()}
    listed = next(ast.literal_eval(n.value) for n in stub.body if isinstance(n, ast.Assign))

    assert told == packages | modules
    assert sorted(listed) == sorted(set(told) - set(apart)) == sorted(sw.__all__)


def test_every_name_can_be_asked_for() -> None:
    """Also all at once; what is not there is an error that names it."""
    names: dict[str, object] = {}
    exec("from spikewright import *", names)

    assert set(sw.__all__) <= set(names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sw.nothing  # noqa: B018


def test_every_public_name_says_what_it_is() -> None:
    """A docstring that begins with a sentence of its own, not that of `object` or a dataclass."""
    for name, item in NAMES.items():
        line = reference.first_line(item)
        assert len(line) > 10, name
        assert not line.startswith(f"{name.rpartition('.')[2]}("), name
        assert line.count("`") % 2 == 0, name
