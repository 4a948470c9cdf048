"""Vocabularies: pointers by name, how alike they are, and translations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import NetworkError
from spikewright.modelling.semantic import SemanticPointer, Vocabulary


def letters(d: int = 64, names: str = "A; B; C", **options: Any) -> Vocabulary:
    """A seeded vocabulary."""
    made = Vocabulary(d, **{"seed": 1, "max_similarity": 0.3, "label": "letters", **options})
    made.populate(names)
    return made


@settings(max_examples=20)
@given(seed=st.integers(0, 999), unitary=st.booleans(), limit=st.sampled_from([0.1, 0.15, 0.3]))
def test_drawn_pointers_are_unlike(seed: int, unitary: bool, limit: float) -> None:
    """Of length 1, and no two more similar than `max_similarity`; seeded."""
    made, again = (Vocabulary(128, limit, unitary=unitary, seed=seed) for _ in range(2))
    for vocabulary in (made, again):
        vocabulary.populate(["A", "B", "C", "D"])
    gram = made.dot(made.vectors)
    np.testing.assert_allclose(np.diag(gram), 1.0)
    assert np.max(np.abs(gram - np.eye(4))) <= limit
    np.testing.assert_array_equal(made.vectors, again.vectors)


def test_what_cannot_be_unlike_is_said() -> None:
    """Where no draw is unlike enough the best is taken, with a warning of how like it is."""
    made = Vocabulary(2, max_similarity=0.05, seed=0, label="tiny")
    with pytest.warns(UserWarning, match=r"'tiny'.*'C' .*similarity of 0\.\d+, above"):
        made.populate("A; B; C")
    assert len(made) == 3


def test_unitary_pointers_may_be_named() -> None:
    """Only those."""
    made = letters(unitary={"A"})
    for name, exact in (("A", True), ("B", False)):
        pointer = made[name]
        bound = pointer * ~pointer
        assert (bound.mse(SemanticPointer.identity(64)) < 1e-20) == exact


def test_pointers_are_given_drawn_or_said() -> None:
    """Vectors, pointers, expressions."""
    made = letters(4, "A; B; X = A * ~B", max_similarity=1.0)
    made.add("V", [1, 2, 3, 4])
    made.add("P", made["A"] + made["V"])
    np.testing.assert_allclose(made["X"].v, (made["A"] * ~made["B"]).v)
    np.testing.assert_array_equal(made["P"].v, made["A"].v + made["V"].v)
    assert made.keys == ("A", "B", "X", "V", "P") == tuple(made)
    assert "X" in made and "Y" not in made and made.vectors.shape == (5, 4)


def test_names_that_are_not_there_are_added_where_that_is_allowed() -> None:
    """Otherwise the error names those that are near."""
    lax = letters(64, "Alpha", strict=False)
    lax.parse("Alpha * Beta")
    assert lax.keys == ("Alpha", "Beta")
    with pytest.raises(NetworkError, match="'letters'> has no pointer 'Alpa'; did you mean Alpha"):
        letters(64, "Alpha").parse("Alpa")
    with pytest.raises(NetworkError, match=r"add it first: `vocabulary.add\('Z'\)`"):
        letters()["Z"]


def test_text_says_what_a_vector_is_like() -> None:
    """The most similar names first, with their dot products."""
    made = letters()
    assert made.text(made["A"]).startswith("1.00A")
    pair = 0.9 * made["B"] + 0.5 * made["C"]
    found = made.text(pair, terms=2)
    assert found == f"{pair.dot(made['B']):.2f}B + {pair.dot(made['C']):.2f}C"
    assert made.text(np.zeros(64)) == "0" and made.text(made["A"], threshold=2.0) == "0"


def test_text_may_name_bindings() -> None:
    """With `pairs` every two pointers bound count too."""
    made = letters()
    bound = made["A"] * made["C"]
    assert made.text(bound, terms=1, pairs=True) == f"{bound.dot(bound):.2f}A*C"
    assert "*" not in made.text(bound, threshold=-2.0)


def test_compare_gives_cosines() -> None:
    """Whatever the lengths; of nothing 0."""
    made = letters(64, "A; B; X = 3 * A")
    given = np.stack([2 * made["B"].v, np.zeros(64)])
    wanted = [[made["B"].compare(made[k]) for k in made], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(made.compare(given), wanted, atol=1e-12)
    np.testing.assert_allclose(made.compare(made["A"])[[0, 2]], 1.0)


def test_dot_takes_many_vectors() -> None:
    """Over time or batches: the last axis are the names, in their order."""
    made = letters()
    many = np.random.default_rng(0).normal(size=(5, 2, 64))
    np.testing.assert_allclose(made.dot(many), many @ made.vectors.T)


def test_subsets_hold_the_very_same_pointers() -> None:
    """In the order asked for."""
    made = letters()
    subset = made.create_subset(["C", "A"])
    assert subset.keys == ("C", "A")
    np.testing.assert_array_equal(subset["C"].v, made["C"].v)


def test_translations_take_names_to_their_namesakes() -> None:
    """From 128 dimensions to 64, within the likeness of the pointers; all shared names or some."""
    source, target = letters(128, "A; B; C; D", max_similarity=0.1), letters(64, "B; A; Z")
    matrix = source.transform_to(target)
    assert matrix.shape == (64, 128)
    for name in "AB":
        moved = SemanticPointer(matrix @ source[name].v)
        assert moved.compare(target[name]) > 0.95
    only = source.transform_to(target, ["A"])
    np.testing.assert_allclose(only, np.outer(target["A"].v, source["A"].v))
    with pytest.raises(NetworkError, match="no pointer of the same name"):
        source.transform_to(letters(64, "Y; Z"))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda v: Vocabulary(0), "dimensions must be at least 1"),
        (lambda v: Vocabulary(8, max_similarity=2), "from 0 to 1, got 2"),
        (lambda v: Vocabulary(8, unitary="Colour"), "unitary is a list of names, got 'Colour'"),
        (lambda v: v.populate([1]), r"what is added is a list of names, got \[1\]"),
        (lambda v: v.add("a"), "'a' must begin with a capital letter"),
        (lambda v: v.add("A B"), "is an identifier, got 'A B'"),
        (lambda v: v.add("A"), "'letters'> has a pointer 'A' already"),
        (lambda v: v.add("X", [1.0]), "'X' must have 64 values, got 1"),
        (lambda v: v.add("X", "3"), "is a number, 3, where a pointer is needed"),
        (lambda v: v.parse("A + 1"), "pointer of .*'letters'> is needed here, not the number 1"),
        (lambda v: v.parse("~2 * A"), "not the number 2"),
        (lambda v: v.parse("state"), "'state' does not begin with a capital letter"),
        (lambda v: v.dot(np.ones(3)), r"must have 64 values, got shape \(3,\)"),
        (lambda v: v.text(np.ones((2, 64))), r"text is of one vector, got many, \(2,\)"),
        (lambda v: v.create_subset(["Q"]), "has no pointer 'Q'"),
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """Each error names the vocabulary or the value."""
    with pytest.raises(NetworkError, match=message):
        ask(letters())
