"""Names that pages have in passing exist: public names, members, and the keywords given to them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import spikewright as sw
from pages import DOCS, NAMES, prose
from spikewright import demo

CONVERSION = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=20)
RUN = CONVERSION.run(demo.held_out(1)[0], steps=1, progress=False)
ROOTS = {"sw": sw, "conversion": CONVERSION, "run": RUN}
GUIDES = ("from_nengo_dl.md", "from_pytorch.md", "from_nengo.md")


def _in_passing(name: str) -> Iterator[ast.AST]:
    """Expressions in the inline code of a page; what is no Python has none."""
    for code in re.findall(r"`([^`]+)`", prose((DOCS / name).read_text("utf-8"))):
        if code.endswith(".py"):
            continue
        try:
            yield from ast.walk(ast.parse(" ".join(code.split())))
        except SyntaxError:
            continue


def _path(node: ast.AST) -> list[str] | None:
    """`["sw", "solvers", "LstsqL2"]` of an attribute of one of the roots."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    known = isinstance(node, ast.Name) and node.id in ROOTS and names
    return [node.id, *reversed(names)] if known else None


def _found(path: list[str]) -> Any:
    item = ROOTS[path[0]]
    for name in path[1:]:
        item = getattr(item, name)
    return item


def _refused(call: ast.Call) -> list[str]:
    """The keywords of a call that its function does not take."""
    path = _path(call.func)
    if path is None or not callable(function := _found(path)):
        return []
    takes = inspect.signature(function).parameters
    if any(given.kind is given.VAR_KEYWORD for given in takes.values()):
        return []
    return [str(word.arg) for word in call.keywords if word.arg and word.arg not in takes]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_passing_exist(name: str) -> None:
    """Every `sw.NAME`, and every member of a conversion or a run."""
    missing = []
    for path in filter(None, map(_path, _in_passing(name))):
        try:
            _found(path)
        except AttributeError:
            missing.append(".".join(path))
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_keywords_in_passing_are_taken(name: str) -> None:
    """`sw.convert(model, spikes=True)` on a page would be an error for its reader."""
    calls = [node for node in _in_passing(name) if isinstance(node, ast.Call)]
    assert [(ast.unparse(call), lost) for call in calls if (lost := _refused(call))] == []


@pytest.mark.parametrize("name", GUIDES)
def test_guides_for_users_of_other_tools_name_what_is_here(name: str) -> None:
    """Their tables have two or three columns, and the last one names something of this library."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (DOCS / name).read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    rows = [row for row in rows if row[-1] not in ("here", "read here")]
    assert len(rows) >= 14
    for row in rows:
        assert len(row) in (2, 3) and row[0], row
    named = [path for path in map(_path, _in_passing(name)) if path]
    assert len({".".join(path) for path in named}) >= 10


def test_bare_keywords_are_taken_somewhere() -> None:
    """`synapse=0.01` standing alone in a guide is an argument of something that it is about."""
    about = (sw.convert, sw.Conversion.run, sw.Simulator, sw.DiscreteLIF)
    takes = {word for item in about for word in inspect.signature(item).parameters}
    for name in GUIDES:
        text = (DOCS / name).read_text("utf-8")
        cells = re.findall(r"^\|.*\|(.*)\|$", text, re.MULTILINE)
        bare = {word for cell in cells for word in re.findall(r"`(\w+)=", cell)}
        assert bare <= takes, bare - takes


def test_a_wrong_name_and_a_wrong_keyword_are_found() -> None:
    """The tests above would see one."""
    with pytest.raises(AttributeError):
        _found(["sw", "Convertor"])
    (call,) = (n for n in ast.walk(ast.parse("sw.convert(m, swap=1)")) if isinstance(n, ast.Call))
    assert _refused(call) == ["swap"]
