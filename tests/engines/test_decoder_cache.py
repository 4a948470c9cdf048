"""Decoders that are kept: the same bits, found by content, whatever other processes do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.engines.decoder_cache import DecoderCache, chosen_cache
from spikewright.engines.decoder_keys import can_be_keyed, decoder_key
from spikewright.errors import BuildError
from spikewright.network.neurons import LIF, LIFRate
from spikewright.network.solvers import LstsqDrop, LstsqL2, LstsqL2nz, NnlsL2, Solution


def solution(seed: int = 0, n: int = 7) -> Solution:
    """Decoders as a solver gives them."""
    rng = np.random.default_rng(seed)
    return Solution(rng.normal(size=(n, 2)), {"rmses": rng.random(2), "rank": 3})


def model(n: int = 300, **options: Any) -> tuple[sw.Network, sw.Connection]:
    """A channel, large enough that its decoders are kept."""
    with sw.Network(seed=5) as net:
        a = sw.Ensemble(n, 1, seed=options.pop("ensemble_seed", None))
        b = sw.Ensemble(30, 1)
        sw.Connection(sw.Node(0.5), a)
        return net, sw.Connection(a, b, **options)


def built(net: sw.Network, connection: sw.Connection, cache: Any, **options: Any) -> Any:
    """What a simulator built of a connection."""
    with sw.Simulator(net, decoder_cache=cache, progress=False, **options) as sim:
        return sim.data[connection]


@pytest.mark.parametrize("solver", [LstsqL2(), LstsqL2nz(weights=True), NnlsL2(), LstsqDrop()])
def test_results_are_the_same_bits(tmp_path: Path, solver: Any) -> None:
    """Solved, from memory and from a file: decoders and weights are equal, bit for bit."""
    net, connection = model(solver=solver)
    cache = DecoderCache(tmp_path)
    without, first, memory = (built(net, connection, c) for c in (False, cache, cache))
    disk = built(net, connection, DecoderCache(tmp_path))
    places = [found.solver_info["from"] for found in (without, first, memory)]
    assert places == ["solved", "solved", "memory"]
    assert Path(disk.solver_info["from"]).parent == tmp_path
    for found in (first, memory, disk):
        np.testing.assert_array_equal(found.decoders, without.decoders)
        np.testing.assert_array_equal(found.weights, without.weights)
        np.testing.assert_array_equal(found.solver_info["rmses"], without.solver_info["rmses"])


def key_of(**changes: Any) -> str:
    """The key of a small set of ingredients, some of them changed."""
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(size=(4, 2)) for name in ("points", "encoders", "gain", "targets")}
    told = {"solver": LstsqL2(), "neuron_type": LIF(), "key": (1, 2), **parts, **changes}
    arrays = [told[name] for name in parts]
    return decoder_key(told["solver"], told["neuron_type"], arrays, told["key"])


@pytest.mark.parametrize(
    "change",
    [
        {"solver": LstsqL2(reg=0.1 + 1e-16 * 200)},
        {"solver": LstsqL2(weights=True)},
        {"solver": LstsqL2nz()},
        {"solver": LstsqDrop(solver1=LstsqL2(reg=0.2))},
        {"neuron_type": LIF(tau_rc=0.021)},
        {"neuron_type": LIFRate()},
        {"key": (1, 3)},
        {"key": (2, 2)},
    ],
    ids=str,
)
def test_every_ingredient_changes_the_key(change: dict[str, Any]) -> None:
    """Type and arguments of solver and neurons, and the random numbers."""
    assert key_of() == key_of()
    assert key_of(**change) != key_of()


@pytest.mark.parametrize("name", ["points", "encoders", "gain", "targets"])
@pytest.mark.parametrize(
    "alter",
    [lambda a: np.nextafter(a, 9.0), lambda a: a.reshape(2, 4), lambda a: a.astype(np.float32)],
)
def test_every_bit_of_an_array_changes_the_key(name: str, alter: Callable[[Any], Any]) -> None:
    """Values to the last digit, shape and precision."""
    rng = np.random.default_rng(0)
    parts = {n: rng.normal(size=(4, 2)) for n in ("points", "encoders", "gain", "targets")}
    assert key_of(**{name: alter(parts[name])}) != key_of()


def test_the_code_that_solves_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version of the package solved is not found."""
    before = key_of()
    monkeypatch.setattr("spikewright.engines.decoder_keys._code", lambda: "of tomorrow")
    assert key_of() != before


@dataclass(frozen=True)
class Own(LIFRate):
    """A neuron type of a user."""


def test_a_users_own_code_is_not_kept(tmp_path: Path) -> None:
    """It may change under the same name, so decoders of its neurons are always solved."""
    assert can_be_keyed(LstsqL2(), sw.RegularSpiking(LIFRate()))
    assert not can_be_keyed(LstsqL2(), Own())
    assert not can_be_keyed(LstsqDrop(solver1=replace(LstsqL2())), sw.RegularSpiking(Own()))
    with sw.Network(seed=0) as net:
        a = sw.Ensemble(300, 1, neuron_type=Own())
        connection = sw.Connection(a, sw.Node(size_in=1))
    cache = DecoderCache(tmp_path)
    built(net, connection, cache)
    assert built(net, connection, cache).solver_info["from"] == "solved"
    assert len(cache) == 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "one bit": lambda data: data[:-3] + bytes([data[-3] ^ 4]) + data[-2:],
    "something else": lambda data: b"\x80\x04\x95 pickle" * 30,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_dropped_and_solved_again(tmp_path: Path, damage: str) -> None:
    """With a warning that names the file; afterwards there is a whole one."""
    net, connection = model()
    right = built(net, connection, DecoderCache(tmp_path)).decoders
    (path,) = tmp_path.glob("*.decoders")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.warns(UserWarning, match=f"{path.name}.*solved again"):
        again = built(net, connection, DecoderCache(tmp_path))
    assert again.solver_info["from"] == "solved"
    np.testing.assert_array_equal(again.decoders, right)
    healed = built(net, connection, DecoderCache(tmp_path))
    assert healed.solver_info["from"] == str(path)
    np.testing.assert_array_equal(healed.decoders, right)


def test_the_least_recently_used_go(tmp_path: Path) -> None:
    """Above the limit those go that were read or written longest ago."""
    DecoderCache(tmp_path).keep("size", solution(0, 200))
    (path,) = tmp_path.iterdir()
    one = path.stat().st_size
    path.unlink()
    cache = DecoderCache(tmp_path, size_limit=5 * one)
    for index in range(5):
        cache.keep(f"k{index}", solution(index, 200))
        age = time.time() - 100 + index
        os.utime(tmp_path / f"k{index}.decoders", (age, age))
    assert len(cache) == 5
    DecoderCache(tmp_path, size_limit=5 * one).find("k0", (200, 2))  # used just now
    cache.keep("k5", solution(5, 200))
    assert {p.stem for p in tmp_path.iterdir()} == {"k0", "k2", "k3", "k4", "k5"}
    assert cache.size <= cache.size_limit
    for index in range(40):
        cache.keep(f"more{index}", solution(index, 200))
        assert cache.size <= cache.size_limit


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off, read-only, where and how large, each by a variable; an argument has the last word."""
    monkeypatch.setenv("SPIKEWRIGHT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("SPIKEWRIGHT_DECODER_CACHE_MB", "3")
    assert chosen_cache(None) is None  # as the tests are run
    found = chosen_cache(True)
    assert found is not None and not found.read_only
    assert (found.folder, found.size_limit) == (tmp_path / "decoders", 3 * 2**20)
    monkeypatch.setenv("SPIKEWRIGHT_DECODER_CACHE", "read-only")
    found = chosen_cache(None)
    assert found is not None and found.read_only
    assert chosen_cache(False) is None
    monkeypatch.delenv("SPIKEWRIGHT_DECODER_CACHE")
    assert chosen_cache(None) is chosen_cache("on")
    own = DecoderCache(tmp_path)
    assert chosen_cache(own) is own


@pytest.mark.parametrize(
    "variable, value",
    [("SPIKEWRIGHT_DECODER_CACHE", "maybe"), ("SPIKEWRIGHT_DECODER_CACHE_MB", "much"),
     ("SPIKEWRIGHT_DECODER_CACHE_MB", "0")],
)  # fmt: skip
def test_a_variable_that_says_nothing_is_an_error(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable and the value."""
    monkeypatch.setenv("SPIKEWRIGHT_DECODER_CACHE", "on")
    monkeypatch.setenv(variable, value)
    with pytest.raises(BuildError, match=f"{variable}.*{value}"):
        chosen_cache(None)
