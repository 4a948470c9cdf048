"""Semantic pointers: the laws of holographic reduced representations."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.errors import NetworkError
from spikewright.modelling.semantic import SemanticPointer

DIMENSIONS = st.integers(1, 33)
SEEDS = st.integers(0, 999)


def pointers(d: int, seed: int, n: int = 3) -> list[SemanticPointer]:
    """Random directions."""
    rng = np.random.default_rng(seed)
    return [SemanticPointer.random(d, rng) for _ in range(n)]


def same(a: SemanticPointer, b: SemanticPointer) -> bool:
    """Equal to rounding."""
    return bool(np.allclose(a.v, b.v, atol=1e-12))


@given(d=DIMENSIONS, seed=SEEDS)
def test_binding_is_circular_convolution(d: int, seed: int) -> None:
    """As the sum says, commutative, associative, distributive, with an identity."""
    a, b, c = pointers(d, seed)
    wanted = [sum(a.v[m] * b.v[(n - m) % d] for m in range(d)) for n in range(d)]
    np.testing.assert_allclose((a * b).v, wanted, atol=1e-12)
    np.testing.assert_allclose(a.binding_matrix() @ b.v, wanted, atol=1e-12)
    assert same(a * b, b * a) and same(a * (b * c), (a * b) * c)
    assert same(a * (b + c), a * b + a * c)
    assert same(a * SemanticPointer.identity(d), a)


@given(d=DIMENSIONS, seed=SEEDS)
def test_unitary_pointers_unbind_exactly(d: int, seed: int) -> None:
    """`A * B * ~B` is `A` where `B` is unitary; lengths and products of unitary ones are kept."""
    a, b, _ = pointers(d, seed)
    u = b.unitary()
    assert same(a * u * ~u, a)
    assert same(u * ~u, SemanticPointer.identity(d))
    assert u.length() == pytest.approx(1.0) and (a * u).length() == pytest.approx(a.length())
    assert same(u.unitary(), u)


@given(d=DIMENSIONS, seed=SEEDS)
def test_involution_is_its_own_inverse(d: int, seed: int) -> None:
    """It reverses indices, and goes through sums and bindings."""
    a, b, _ = pointers(d, seed)
    assert same(~~a, a) and same(~(a + b), ~a + ~b) and same(~(a * b), ~a * ~b)
    np.testing.assert_array_equal((~a).v, [a.v[-n % d] for n in range(d)])


def test_unbinding_any_pointer_is_close() -> None:
    """At 512 dimensions `A * B * ~B` is like `A` (0.71 on average) and like nothing else."""
    rng = np.random.default_rng(0)
    likeness = []
    for _ in range(20):
        a, b, c = (SemanticPointer.random(512, rng) for _ in range(3))
        likeness.append((a * b * ~b).compare(a))
        assert abs((a * b).compare(a)) < 0.2 and abs((a * b * ~b).compare(c)) < 0.2
    assert np.mean(likeness) == pytest.approx(np.sqrt(0.5), abs=0.05)


@given(d=DIMENSIONS, seed=SEEDS, factor=st.floats(-4, 4))
def test_vector_algebra(d: int, seed: int, factor: float) -> None:
    """Sums, differences, scales and products are those of vectors."""
    a, b, _ = pointers(d, seed)
    np.testing.assert_array_equal((a + b - a).v, a.v + b.v - a.v)
    np.testing.assert_array_equal((factor * a).v, factor * a.v)
    np.testing.assert_array_equal((a / 4).v, (0.25 * a).v)
    assert same(-a, -1 * a)
    assert a.dot(b) == pytest.approx(float(a.v @ b.v)) and len(a) == d
    assert (3 * a).compare(b) == pytest.approx(a.compare(b))
    assert a.mse(b) == pytest.approx(float(np.mean((a.v - b.v) ** 2)))
    assert (5 * a).normalized().length() == pytest.approx(1.0)


def test_nothing_stays_nothing() -> None:
    """The zero pointer has no direction: comparing gives 0, normalising itself."""
    zero, a = SemanticPointer(np.zeros(4)), pointers(4, 0)[0]
    assert zero.compare(a) == 0 and same(zero.normalized(), zero)
    assert same(zero.unitary() * ~zero.unitary(), SemanticPointer.identity(4))


def test_pointers_do_not_change() -> None:
    """Neither through attributes nor through their vector; copies through pickle are equal."""
    a = pointers(4, 0)[0]
    with pytest.raises(AttributeError, match="make a new one"):
        a.v = np.zeros(4)
    with pytest.raises(ValueError, match="read-only"):
        a.v[0] = 1.0
    given = np.ones(3)
    made = SemanticPointer(given)
    given[0] = 7.0
    assert made.v[0] == 1.0 and same(pickle.loads(pickle.dumps(a)), a)
    assert same(SemanticPointer(a), a)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda a: SemanticPointer([[1.0]]), "a vector of finite numbers"),
        (lambda a: SemanticPointer([]), "a vector of finite numbers"),
        (lambda a: SemanticPointer([np.nan]), "a vector of finite numbers"),
        (lambda a: SemanticPointer([1j]), "a vector of finite numbers"),
        (lambda a: SemanticPointer("A"), "a vector of finite numbers, got 'A'"),
        (lambda a: a + 1.0, "a semantic pointer is needed here, got 1.0"),
        (lambda a: a * "B", "a semantic pointer is needed here, got 'B'"),
        (lambda a: a * SemanticPointer([1.0, 2.0]), "of 4 and of 2 dimensions"),
        (lambda a: a.dot(SemanticPointer([1.0])), "of 4 and of 1 dimensions"),
        (lambda a: a / 0, "other than 0, got 0"),
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """With the value, or both lengths."""
    with pytest.raises(NetworkError, match=message):
        ask(pointers(4, 0)[0])
