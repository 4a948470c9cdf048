"""Solvers: closed forms, what each promises, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikewright import solvers as s
from spikewright.errors import NetworkError
from spikewright.network import cholesky

EXAMPLES = [
    s.Lstsq(),
    s.LstsqNoise(),
    s.LstsqMultNoise(),
    s.LstsqL2(),
    s.LstsqL2nz(),
    s.LstsqL1(max_iter=20_000),
    s.LstsqDrop(),
    s.Nnls(),
    s.NnlsL2(),
    s.NnlsL2nz(),
]


def problem(m: int = 300, n: int = 40) -> tuple[Any, Any]:
    """Activities like those of rectified neurons, one of them silent, and three targets."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (m, 1))
    gain, bias = rng.uniform(50, 300, n), rng.uniform(-100, 100, n)
    signs = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    activities = np.maximum(x * signs * gain + bias, 0.0)
    activities[:, 3] = 0.0
    return activities, np.concatenate([x, x**2, np.ones_like(x)], axis=1)


def solve(solver: s.Solver, a: Any, y: Any, seed: int = 0) -> s.Solution:
    """With a seeded generator."""
    return solver.solve(a, y, np.random.default_rng(seed))


def test_every_solver_is_registered_and_has_an_example() -> None:
    """What files can name is what is tested here."""
    assert {type(e).__name__ for e in EXAMPLES} | {"NoSolver"} == set(s.SOLVERS)
    with pytest.raises(ValueError, match="registered already"):
        s.register(s.LstsqL2)


@pytest.mark.parametrize("name", sorted(s.SOLVERS))
@pytest.mark.parametrize("given", [0.05, 1, None, "yes"])
def test_a_number_given_first_is_refused(name: str, given: Any) -> None:
    """The first argument is `weights`, True or False, as in Nengo: a penalty there says which
    argument it is."""
    named = {"LstsqL2": "reg", "Lstsq": "rcond", "LstsqNoise": "noise", "LstsqL1": "l1",
             "LstsqDrop": "drop", "NnlsL2nz": "reg"}  # fmt: skip
    solver = s.SOLVERS[name]
    with pytest.raises(NetworkError, match=rf"{name}.weights must be True or False, got") as error:
        solver(weights=given)  # type: ignore[call-arg]
    if name in named:
        assert str(error.value).endswith(f"Did you mean {named[name]}={given!r}?")
    assert solver(weights=np.bool_(True)).weights is True  # type: ignore[call-arg]


@pytest.mark.parametrize("m", [300, 25])
def test_the_default_is_its_closed_form(m: int) -> None:
    """D = (A'A + m sigma^2 I)^-1 A'Y with sigma = reg max A, to 1e-10, in both dimensions."""
    a, y = problem(m)
    for reg in (0.1, 0.02):
        sigma = reg * a.max()
        wanted = np.linalg.inv(a.T @ a + m * sigma**2 * np.eye(a.shape[1])) @ a.T @ y
        decoders, info = solve(s.LstsqL2(reg=reg), a, y)
        assert np.abs(decoders - wanted).max() < 1e-10 * np.abs(wanted).max()
        assert np.allclose(info["rmses"], np.sqrt(np.mean((a @ decoders - y) ** 2, axis=0)))


def test_penalties_of_the_active_share() -> None:
    """sigma_i = reg max|A| sqrt(share of points where neuron i is active)."""
    a, y = problem()
    share = np.mean(a != 0, axis=0)
    sigma = 0.1 * a.max() * np.sqrt(np.where(share > 0, share, 1.0))
    wanted = np.linalg.inv(a.T @ a + len(a) * np.diag(sigma**2)) @ a.T @ y
    assert np.allclose(solve(s.LstsqL2nz(), a, y).decoders, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solver", EXAMPLES, ids=lambda x: type(x).__name__)
def test_every_solver_decodes(solver: s.Solver) -> None:
    """Positive targets come out, silent neurons get nothing, and equal seeds the same."""
    a, y = problem()
    y = y[:, 1:]
    decoders, info = solve(solver, a, y)
    assert decoders.shape == (a.shape[1], 2)
    if not isinstance(solver, s.LstsqNoise):  # whose noise makes it speak
        assert np.abs(decoders[3]).max() < 1e-15
    error = np.sqrt(np.mean((a @ decoders - y) ** 2, axis=0))
    assert error.max() < 0.15
    assert np.allclose(info["rmses"], error)
    assert np.array_equal(decoders, solve(solver, a, y).decoders)


@pytest.mark.parametrize("solver", [s.Nnls(), s.NnlsL2(), s.NnlsL2nz()])
def test_non_negative_decoders_are(solver: s.Solver) -> None:
    """None below zero, and it is no compositional solver."""
    a, y = problem()
    assert solve(solver, a, y).decoders.min() >= 0
    assert not solver.compositional


def test_dropping_leaves_the_wanted_share_at_zero() -> None:
    """A quarter of all decoders, and what is left is solved anew."""
    a, y = problem()
    dropped = solve(s.LstsqDrop(drop=0.5), a, y).decoders
    assert np.mean(dropped == 0) == pytest.approx(0.5, abs=0.02)
    assert np.allclose(
        solve(s.LstsqDrop(drop=0.0), a, y).decoders, solve(s.LstsqL2(), a, y).decoders
    )


def test_an_l1_penalty_sets_decoders_to_zero() -> None:
    """More of them the larger it is."""
    a, y = problem()
    few, many = (
        np.mean(solve(s.LstsqL1(l1=l1, max_iter=20_000), a, y).decoders == 0) for l1 in (1e-5, 1e-2)
    )
    assert few < many and many > 0.3


def test_noise_is_drawn_from_the_generator() -> None:
    """Other seeds, other decoders."""
    a, y = problem()
    for solver in (s.LstsqNoise(), s.LstsqMultNoise()):
        assert not np.allclose(solve(solver, a, y).decoders, solve(solver, a, y, 1).decoders)


def test_given_decoders_are_taken_as_they_are() -> None:
    """`NoSolver` gives its values, or zeros."""
    a, y = problem()
    values = np.random.default_rng(1).normal(size=(a.shape[1], 3))
    assert np.array_equal(solve(s.NoSolver(values), a, y).decoders, values)
    assert not np.any(solve(s.NoSolver(), a, y).decoders)
    with pytest.raises(NetworkError, match=r"NoSolver.values must be \(40, 3\).* got \(2, 3\)"):
        solve(s.NoSolver(values[:2]), a, y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: s.LstsqL2(reg=-0.1), r"LstsqL2.reg must be 0 or more, got -0.1"),
        (lambda: s.LstsqNoise(noise=np.nan), r"LstsqNoise.noise must be 0 or more"),
        (lambda: s.Lstsq(rcond="a"), r"Lstsq.rcond must be 0 or more, got 'a'"),
        (lambda: s.LstsqDrop(drop=1.0), r"LstsqDrop.drop must lie in \[0, 1\), got 1.0"),
        (lambda: s.LstsqDrop(solver1=None), r"LstsqDrop.solver1 must be a solver, got None"),
        (lambda: s.LstsqL1(l1=0.0, l2=0.0), r"l1 \+ l2 and max_iter must be above 0"),
        (lambda: s.NoSolver([1.0, 2.0]), r"NoSolver.values must be \(n, outputs\)"),
        (lambda: solve(s.LstsqL2(reg=0.0), *problem()), r"Gram matrix is singular"),
    ],
)
def test_impossible_solvers_are_refused(make: Any, message: str) -> None:
    """The error names the solver, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


def test_factors_are_shared_by_activities_that_nobody_writes_to() -> None:
    """The same decoders as by elimination, whether a factor was kept or not; none is kept long."""
    rng = np.random.default_rng(5)
    activities, targets = rng.uniform(0, 200, (700, 300)), rng.normal(size=(700, 2))
    sigma = 0.1 * activities.max()
    gram = activities.T @ activities + 700 * sigma**2 * np.eye(300)
    wanted = np.linalg.solve(gram, activities.T @ targets)
    kept = len(cholesky._kept)
    first = s.LstsqL2().solve(activities, targets, rng).decoders
    assert len(cholesky._kept) == kept
    activities.setflags(write=False)
    second = s.LstsqL2().solve(activities, targets, rng).decoders
    assert len(cholesky._kept) == kept + 1
    third = s.LstsqL2().solve(activities, 2 * targets, rng).decoders
    np.testing.assert_allclose(first, wanted, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(second, first)
    np.testing.assert_allclose(third, 2 * wanted, rtol=1e-9, atol=1e-15)
    stronger = s.LstsqL2(reg=0.3).solve(activities, targets, rng).decoders
    assert np.abs(stronger).sum() < np.abs(second).sum()
    del activities
    assert len(cholesky._kept) == kept


def test_a_penalty_too_small_for_a_factor_still_gives_decoders() -> None:
    """Neurons that are alike leave a Gram matrix that rounding makes indefinite."""
    rng = np.random.default_rng(6)
    column = rng.uniform(0, 200, (400, 1))
    activities = column * (1.0 + 1e-9 * rng.normal(size=(400, 150)))
    decoders = s.LstsqL2(reg=1e-12).solve(activities, column, rng).decoders
    np.testing.assert_allclose(activities @ decoders, column, rtol=1e-3)
