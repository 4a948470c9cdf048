"""Results in notebooks: a sentence, a small table and a picture, in which every name is text."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright._base import markup
from spikewright._base.markup import RichRepr
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input

EVIL = '<b onclick="x()">&amp;'
X, Y = demo.held_out(40)
RNG = np.random.default_rng(0)


def conversion(**choices: Any) -> sw.Conversion:
    """A network whose layers and inputs have names that are markup."""
    nodes = (
        GraphNode(EVIL, Input((64,))),
        GraphNode(f"{EVIL}1", Affine(RNG.normal(size=(20, 64)) / 8), (EVIL,)),
        GraphNode(f"{EVIL}2", Activation("relu"), (f"{EVIL}1",), f"{EVIL}2", "<i>"),
        GraphNode(f"{EVIL}3", Affine(RNG.normal(size=(10, 20)) / 4), (f"{EVIL}2",)),
    )
    graph = Graph(nodes, {f"{EVIL}out": f"{EVIL}3"})
    return sw.convert(graph, **{"spiking": True, "scale_firing_rates": 100, **choices})


FLAT = X.reshape(len(X), -1) / 16
SETTINGS: dict[str, Any] = {"steps": 6, "progress": False}


def _searched() -> sw.results.StudyResult:
    space = {"steps": 4}
    return sw.tune(demo.MODEL, X, Y, max_drop=0.5, space=space, trials=1, progress=False)


EXAMPLES: dict[str, Callable[[], RichRepr]] = {
    "Conversion": conversion,
    "Run": lambda: conversion().run(FLAT, **SETTINGS),
    "Evaluation": lambda: conversion().evaluate(FLAT, Y, **SETTINGS),
    "Trace": lambda: conversion().trace,
    "Plan": lambda: conversion().plan(),
    "MemoryNeed": lambda: conversion().memory(2, 3),
    "StudyResult": lambda: sw.sweep(conversion(), FLAT, Y, scales=[10, 50], **SETTINGS),
    "StudyResult of a search": _searched,
    "StudyResult of rules": lambda: sw.best_rule(conversion(), FLAT, **SETTINGS),
    "Training": lambda: conversion().train(FLAT, Y, steps=4, epochs=2, progress=False),
    "Verification": lambda: conversion().verify(FLAT),
    "Diagnosis": lambda: conversion().diagnose(FLAT, Y, **SETTINGS),
    "Fit": lambda: conversion().fits("loihi1"),
}


class Tags(HTMLParser):
    """The tags of a page, the depth at its end, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.pictures: list[dict[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))
            return
        self.open.append(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Tags:
    """What a browser makes of it."""
    found = Tags()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def kinds(base: type = RichRepr) -> Iterator[type]:
    """All classes that notebooks show."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_result_is_tested_below() -> None:
    """Whatever notebooks show has an example here; public names are imported first."""
    assert all(hasattr(sw, name) for name in sw.__all__)
    assert {kind.__name__ for kind in kinds()} == {name.split()[0] for name in EXAMPLES}


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_result_is_a_sentence_and_a_table(name: str) -> None:
    """Only tags of tables and a picture; names with markup in them stand there as they are."""
    item = EXAMPLES[name]()
    assert type(item).__name__ == name.split()[0]
    html = item._repr_html_()
    found = parsed(html)
    assert set(found.tags) <= {
        "div", "p", "table", "thead", "tbody", "tr", "th", "td", "img"
    }  # fmt: skip
    assert {"p", "table", "td"} <= set(found.tags)
    sentence, rows = item._summary()
    assert sentence in found.text
    assert len({len(row) for row in rows}) == 1
    assert len(html) < 20_000 + sum(len(picture["src"]) for picture in found.pictures)
    for row in rows[:5]:
        for cell in row:
            assert cell in found.text
    if name.split()[0] not in ("Evaluation", "StudyResult", "Training"):
        assert EVIL in found.text


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", ["Run", "Evaluation", "StudyResult"])
def test_what_was_measured_has_a_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small PNG within the text, with a text of its own; none without matplotlib."""
    item = EXAMPLES[name]()
    (picture,) = parsed(item._repr_html_()).pictures
    head, _, data = picture["src"].partition(",")
    assert head == "data:image/png;base64" and picture["alt"]
    assert base64.b64decode(data).startswith(b"\x89PNG") and len(data) < 150_000
    monkeypatch.setattr(markup, "find_spec", lambda name: None)
    assert parsed(item._repr_html_()).pictures == []


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", EXAMPLES)
def test_printed_a_result_is_its_table_and_its_repr_one_line(name: str) -> None:
    """`print` shows lines, `repr` one short line with a figure, also of names that are markup."""
    item = EXAMPLES[name]()
    short = repr(item)
    assert "\n" not in short and len(short) < 400 and any(c.isdigit() for c in short)
    assert "\n" in str(item)


@pytest.mark.parametrize("name", ["Trace", "Plan", "MemoryNeed"])
def test_the_table_has_what_is_printed(name: str) -> None:
    """The rows are those of the text."""
    item = EXAMPLES[name]()
    for row, line in zip(item._summary()[1], str(item).splitlines(), strict=True):
        for cell in row:
            assert cell in line


def test_a_long_table_says_how_much_is_left_out() -> None:
    """Thirty rows are shown; a table of as many says nothing."""
    rows = [("name", "n")] + [(f"layer {i}", str(i)) for i in range(31)]
    long, short = (parsed(part._repr_html_()) for part in map(_Rows, (rows, rows[:-1])))
    assert long.tags.count("tr") == short.tags.count("tr") == 31
    assert "and 1 more: print it for all" in long.text
    assert "more" not in short.text


class _Rows:
    """Rows as a result."""

    def __init__(self, rows: Any) -> None:
        self._summary = lambda: ("Rows.", rows)

    _figure = RichRepr._figure
    _repr_html_ = RichRepr._repr_html_


def test_a_result_without_rows_is_a_sentence() -> None:
    """A network of rates has no layers that spike."""
    run = conversion(spiking=False, scale_firing_rates=1).run(FLAT, **SETTINGS)
    assert set(parsed(run._repr_html_()).tags) == {"div", "p"}


def test_control_characters_do_not_reach_the_page() -> None:
    """Nor what turns the direction of text."""
    assert parsed(_Rows([("a", "b"), ("\x00", "\u202e")])._repr_html_()).text.count("\ufffd") == 2
