"""Arrays in structures: all inputs at once, however the call of the source model takes them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright._base.samples import InputTree, first_samples, leaves

A, B, Y = np.ones((4, 3)), np.zeros((4, 2)), np.arange(4)
ONE = InputTree({"x": ("x",)}, {"x": 1})
TWO = InputTree({"a": ("image",), "b": ("text",)}, {"a": 1, "b": 1})
NESTED = InputTree({"a": ("batch", "image"), "b": ("batch", "more", 0)}, {"a": 1, "b": 1})
Pair = namedtuple("Pair", ["image", "text"])


def _is(found: Any, **expected: Any) -> bool:
    """Whether these very objects were found, under these names, in order."""
    return list(found) == list(expected) and all(found[n] is v for n, v in expected.items())


@pytest.mark.parametrize(
    "given", [A, torch.ones(4, 3), [A], (A,), {"x": A}, {"x": A, "flag": True}]
)
def test_a_single_input(given: Any) -> None:
    """An array, alone or in a container of its own, beside settings that are no arrays."""
    (found,) = ONE.named(given).values()
    assert found.shape == (4, 3)


def test_a_list_of_samples_is_not_a_list_of_inputs() -> None:
    """Arrays without a batch axis are samples of the one input, and numbers in lists are values."""
    assert len(ONE.named([A[0], A[1]])["x"]) == 2
    assert len(ONE.named([A[0]])["x"]) == 1
    assert ONE.named([[0.1, 0.2, 0.3]]) == {"x": [[0.1, 0.2, 0.3]]}
    assert ONE.find([A[0], A[1]]) is None  # it may be batches too


@pytest.mark.parametrize(
    "given",
    [
        {"a": A, "b": B}, {"b": B, "a": A}, {"text": B, "image": A}, [A, B], (A, B), Pair(A, B),
        {"text": B, "image": A, "mask": None}, (A, None, B), [A, B, False],
    ],
)  # fmt: skip
def test_several_inputs(given: Any) -> None:
    """By the graph's names, by those of the arguments, or in their order; settings are left out."""
    assert _is(TWO.named(given), a=A, b=B)


@pytest.mark.parametrize(
    "given",
    [
        {"a": A, "b": B},
        {"batch": {"image": A, "more": [B]}},
        {"image": A, "more": (B,)},
        [{"image": A, "more": [B, None]}],
        ({"more": {0: B}, "image": A},),
    ],
)
def test_nested_inputs(given: Any) -> None:
    """As the call takes them, its only argument alone too."""
    assert _is(NESTED.named(given), a=A, b=B)


@pytest.mark.parametrize(
    ("structure", "given", "words"),
    [
        (ONE, {"y": A}, r"inputs are \['x'\], got \['y'\]"),
        (TWO, A, r"inputs \['a', 'b'\]: give \{name: array\}, or a list of arrays in this order"),
        (TWO, [A], "a list of arrays"),
        (TWO, [A, B, B], "a list of arrays"),
        (TWO, {"a": A}, r"inputs are \['a', 'b'\], got \['a'\]"),
        (TWO, {"image": A, "text": B, "texts": B}, "got"),
        (NESTED, {"image": A, "more": [B, B]}, "got"),
        (NESTED, [A, B], r"own call takes, \{'batch': \{'image': a, 'more': \[b\]\}\}"),
    ],
)
def test_what_does_not_fit_is_refused(structure: InputTree, given: Any, words: str) -> None:
    """With what can be given: nothing is left out, and nothing is guessed."""
    assert structure.find(given) is None
    with pytest.raises(ValueError, match=words):
        structure.named(given)


@pytest.mark.parametrize(
    ("structure", "batch", "y"),
    [
        (ONE, A, None), (ONE, (A, Y), Y), (ONE, [A], None), (ONE, {"x": A}, None),
        (TWO, (A, B), None), (TWO, ((A, B), Y), Y), (TWO, [A, B, Y], Y),
        (TWO, ({"a": A, "b": B}, Y), Y),
        (NESTED, {"image": A, "more": [B]}, None), (NESTED, ({"image": A, "more": [B]}, Y), Y),
    ],
)  # fmt: skip
def test_batches_are_inputs_with_or_without_labels(
    structure: InputTree, batch: Any, y: Any
) -> None:
    """`x`, `(x, y)` and `(a, b, y)`, as data loaders give them."""
    found = structure.split(batch)
    assert found is not None
    assert set(found[0]) == set(structure.places)
    assert found[1] is y


@pytest.mark.parametrize("batch", [[A, A, A], [], 3, "x"])
def test_what_is_no_batch(batch: Any) -> None:
    """Of a single input three arrays are none."""
    assert ONE.split(batch) is None


def test_lists_of_events_are_samples() -> None:
    """An input whose samples are lists takes any list, alone, in a pair, and beside others."""
    events = [np.zeros((7, 3)), np.zeros((2, 3))]
    one = InputTree({"x": ("x",)}, {"x": 1}, frozenset(["x"]))
    two = InputTree({"a": ("a",), "b": ("b",)}, {"a": 1, "b": 1}, frozenset(["b"]))
    assert one.find(events) == {"x": events}
    assert one.split((events, Y)) == ({"x": events}, Y)
    assert _is(two.named([A, events]), a=A, b=events)


_trees = st.recursive(
    st.just(None),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


@given(_trees)
def test_any_structure_comes_apart_as_it_was_put_together(tree: Any) -> None:
    """Whatever is nested in whatever: every array is found under the name of its place."""
    arrays: dict[str, Any] = {}

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(item) for key, item in part.items()}
        if isinstance(part, list):
            return [filled(item) for item in part]
        arrays[f"in{len(arrays)}"] = array = np.zeros((2, 1))
        return array

    whole = {"argument": filled(tree)}
    places = {name: place for name, (place, _) in zip(arrays, leaves(whole), strict=True)}
    structure = InputTree(places, dict.fromkeys(places, 1))
    for way in (whole, [whole["argument"]], whole["argument"], arrays):
        found = structure.named(way)
        assert all(found[name] is array for name, array in arrays.items())


def test_first_samples() -> None:
    """Two samples of every array, settings as they are; nothing of what may come in batches."""
    found = first_samples({"a": A, "more": [B, B]})
    assert found["a"].shape == (2, 3) and [b.shape for b in found["more"]] == [(2, 2)] * 2
    assert first_samples((A, B))[1].shape == (2, 2)
    mapping, alone, option = first_samples(({"a": [A]}, B, None))
    assert (mapping["a"][0].shape, alone.shape, option) == ((2, 3), (2, 2), None)
    assert first_samples([A, None])[0].shape == (2, 3)
    assert first_samples([(A, Y), (A, Y)]) is None
    assert first_samples([[1.0, 2.0]]) is None and first_samples("x") is None
    assert first_samples(iter([A])) is None
