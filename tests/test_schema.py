"""What values are to be, declared as types: what fits passes, what does not is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright._base.codec import RecordDecoder
from spikewright._base.schema import (
    AboveZero,
    Finite,
    Natural,
    Positive,
    Where,
    check_types,
    declares_fields,
    is_plain,
)


@dataclass
class Thing:
    """Every type of field that saved dataclasses have."""

    name: str = "a"
    count: int = 1
    rate: float = 1.0
    flag: bool = False
    array: NDArray | None = None
    pair: tuple[int, str] = (1, "b")
    many: tuple[float, ...] = ()
    table: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    anything: Any = None
    inner: Thing | None = None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rate": 2, "count": -1},
        {"array": np.ones(2)},
        {"many": (1, 2.5), "table": {"a": (1, 2), "b": ()}},
        {"anything": object(), "inner": Thing()},
    ],
)
def test_fields_of_their_types_pass(changes: dict) -> None:
    """An int serves as a float; a tuple may have any length where its type says so."""
    check_types(Thing(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "Thing.name holds 1, where it takes str"),
        ({"name": None}, "Thing.name holds None, where it takes str"),
        ({"count": 1.0}, "Thing.count holds 1.0, where it takes int"),
        ({"count": True}, "Thing.count holds True, where it takes int"),
        ({"rate": "1"}, "Thing.rate holds '1', where it takes float"),
        ({"rate": False}, "Thing.rate holds False, where it takes float"),
        ({"flag": 1}, "Thing.flag holds 1, where it takes bool"),
        ({"array": (1.0,)}, "Thing.array holds .1.0,., where it takes an array"),
        ({"pair": (1,)}, "Thing.pair holds .1,., where it takes tuple"),
        ({"pair": ("b", 1)}, r"Thing.pair\[0\] holds 'b', where it takes int"),
        ({"many": 1.0}, "Thing.many holds 1.0, where it takes tuple"),
        ({"many": ("a",)}, r"Thing.many\[0\] holds 'a', where it takes float"),
        ({"table": {"a": (1.5,)}}, r"Thing.table.a\[0\] holds 1.5, where it takes int"),
        ({"table": {1: ()}}, "Thing.table, a key, holds 1, where it takes str"),
        ({"inner": "Thing"}, "Thing.inner holds 'Thing', where it takes"),
    ],
)
def test_fields_of_another_type_are_named(changes: dict, message: str) -> None:
    """A value that its annotation forbids is a `TypeError` naming class and field."""
    with pytest.raises(TypeError, match=message):
        check_types(Thing(**changes))


@dataclass
class Part:
    """A record in a record."""

    kind: Literal["spikes", 1]
    size: Positive = 1


@dataclass
class Whole:
    """Every form that records in files have."""

    name: str
    start: Natural
    rate: Finite
    dt: AboveZero
    parts: tuple[Part, ...]
    sizes: Mapping[str, Natural | None]
    told: Annotated[dict[str, Any], Where(is_plain, "plain data of finite numbers")]


def _whole(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "name": "a", "start": 0, "rate": -2, "dt": 0.001, "parts": [{"kind": "spikes"}],
        "sizes": {"x": 3, "y": None}, "told": {"of": [1, {"it": 0.5}]},
    }  # fmt: skip
    return whole | changes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"parts": []},
        {"parts": [{"kind": 1, "size": 2}, {"kind": "spikes"}]},
        {"rate": 1e308, "dt": 1},
        {"a later version": "wrote this"},
    ],
)
def test_plain_data_as_declared_passes(changes: dict[str, Any]) -> None:
    """Entries that are not needed may be missing; those that nobody knows are let be."""
    RecordDecoder({}).record(Whole, _whole(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name holds 3, where it takes str"),
        ({"start": -1}, "start holds -1, where it takes a whole number from 0"),
        ({"start": 2**63}, "start holds 9223372036854775808, where it takes a whole number"),
        ({"start": True}, "start holds True, where it takes a whole number from 0"),
        ({"rate": float("nan")}, "rate holds nan, where it takes a finite number"),
        ({"rate": float("inf")}, "rate holds inf, where it takes a finite number"),
        ({"rate": 10**400}, "rate holds 10+[.][.][.], where it takes a finite number"),
        ({"dt": 0}, "dt holds 0, where it takes a number above 0"),
        ({"parts": {}}, "parts holds {}, where it takes tuple"),
        ({"parts": [{"kind": "x"}]}, r"parts\[0\].kind holds 'x', where it takes 'spikes' or 1"),
        ({"parts": [{"kind": True}]}, r"parts\[0\].kind holds True, where it takes 'spikes' or 1"),
        ({"parts": [{}]}, r"parts\[0\].kind is missing"),
        ({"parts": [{"kind": 1, "size": 0}]}, r"parts\[0\].size holds 0, where it takes a whole"),
        ({"parts": [3]}, r"parts\[0\] holds 3, where it takes Part"),
        ({"sizes": {"x": -1}}, "sizes.x holds -1, where it takes a whole number from 0"),
        ({"told": {"of": [float("inf")]}}, "told holds .*, where it takes plain data of finite"),
    ],
)
def test_what_is_not_as_declared_is_named(changes: dict[str, Any], message: str) -> None:
    """Where it stands, what it is, in few characters, and what it would have to be."""
    with pytest.raises(TypeError, match=message):
        RecordDecoder({}).record(Whole, _whole(**changes))


@pytest.mark.parametrize("missing", Whole.__annotations__)
def test_what_is_missing_is_named(missing: str) -> None:
    """Every entry that is needed is."""
    whole = _whole()
    del whole[missing]
    with pytest.raises(TypeError, match=f"{missing} is missing"):
        RecordDecoder({}).record(Whole, whole)


def test_a_plain_class_declares_no_fields_of_its_own() -> None:
    """Though its base is a dataclass: what it adds is not known, so no file or key may hold it."""

    @dataclass(frozen=True)
    class Declared:
        x: int = 0

    class Plain(Declared):
        pass

    assert declares_fields(Declared) and not declares_fields(Plain)
