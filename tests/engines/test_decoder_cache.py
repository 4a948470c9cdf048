"""Decoders that are kept: the same bits, found by content, whatever other processes do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.engines.decoder_cache import DecoderCache, chosen_cache, default_folder
from spikewright.engines.representation import decoder_key, has_stable_code, is_expensive
from spikewright.errors import BuildError
from spikewright.network.neurons import LIF, LIFRate
from spikewright.network.solvers import LstsqDrop, LstsqL2, LstsqL2nz, NnlsL2, NoSolver, Solution

SHAPE = (7, 2)


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


@pytest.mark.parametrize("engine", sw.engines.available())
def test_a_run_does_not_notice(tmp_path: Path, engine: str) -> None:
    """What a simulator records is the same, bit for bit, with kept decoders."""
    net, _ = model()
    with net:
        probe = sw.Probe(net.ensembles[1], synapse=0.01)
    recorded = []
    for cache in (False, DecoderCache(tmp_path), DecoderCache(tmp_path)):
        with sw.Simulator(net, decoder_cache=cache, engine=engine, progress=False) as sim:
            sim.run_steps(30)
        recorded.append(np.array(sim.data[probe]))
    assert recorded[0].any()
    np.testing.assert_array_equal(recorded[1], recorded[0])
    np.testing.assert_array_equal(recorded[2], recorded[0])


POINTS = np.linspace(-1, 1, 1000)[:, None]
CHANGES: dict[str, Callable[[], tuple[sw.Network, sw.Connection]]] = {
    "solver": lambda: model(solver=LstsqL2nz()),
    "its arguments": lambda: model(solver=LstsqL2(reg=0.05)),
    "function": lambda: model(function=np.square),
    "points": lambda: model(eval_points=POINTS),
    "draws": lambda: model(ensemble_seed=8),
    "solver's key": lambda: model(seed=8),
    "neurons": lambda: model(n=301),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_ingredient_of_a_model_counts(tmp_path: Path, change: str) -> None:
    """A model that differs in one thing finds nothing; one that differs in nothing does."""
    cache = DecoderCache(tmp_path)
    built(*model(), cache)
    assert built(*model(), cache).solver_info["from"] == "memory"
    assert built(*CHANGES[change](), cache).solver_info["from"] == "solved"
    assert len(cache) == 2


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
    monkeypatch.setattr("spikewright.engines.representation._code", lambda: "of tomorrow")
    assert key_of() != before


@dataclass(frozen=True)
class Own(LIFRate):
    """A neuron type of a user."""


def test_a_users_own_code_is_not_kept(tmp_path: Path) -> None:
    """It may change under the same name, so decoders of its neurons are always solved."""
    assert has_stable_code(LstsqL2(), sw.RegularSpiking(LIFRate()))
    assert not has_stable_code(LstsqL2(), Own())
    assert not has_stable_code(LstsqDrop(solver1=replace(LstsqL2())), sw.RegularSpiking(Own()))
    with sw.Network(seed=0) as net:
        a = sw.Ensemble(300, 1, neuron_type=Own())
        connection = sw.Connection(a, sw.Node(size_in=1))
    cache = DecoderCache(tmp_path)
    built(net, connection, cache)
    assert built(net, connection, cache).solver_info["from"] == "solved"
    assert len(cache) == 0


def test_only_what_takes_long_is_kept(tmp_path: Path) -> None:
    """Small populations are solved faster than a file is read; given decoders are not solved."""
    assert not is_expensive(LstsqL2(), 750, 50)
    assert is_expensive(LstsqL2(), 1000, 300)
    assert is_expensive(NnlsL2(), 750, 50)
    assert not is_expensive(NoSolver(), 10**6, 10**6)
    net, connection = model(n=40)
    cache = DecoderCache(tmp_path)
    built(net, connection, cache)
    assert built(net, connection, cache).solver_info["from"] == "solved"


def test_what_a_caller_changes_is_not_what_is_kept(tmp_path: Path) -> None:
    """Kept decoders are copies, and cannot be written to."""
    cache, given = DecoderCache(tmp_path), solution()
    cache.keep("a", given)
    given.decoders[:] = given.info["rmses"][:] = 0.0
    for asked in (cache, DecoderCache(tmp_path)):
        found = asked.find("a", SHAPE)
        assert found is not None and found.decoders.all() and found.info["rmses"].all()
        found.info["rank"] = 0  # of this answer alone
        for array in (found.decoders, found.info["rmses"]):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1.0
        again = asked.find("a", SHAPE)
        assert again is not None and again.info["rank"] == 3


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


def test_an_entry_of_another_shape_is_damage(tmp_path: Path) -> None:
    """A file that holds other decoders than its name says is not used."""
    DecoderCache(tmp_path).keep("a", solution(n=8))
    with pytest.warns(UserWarning, match=r"no decoders of shape \(7, 2\)"):
        assert DecoderCache(tmp_path).find("a", SHAPE) is None
    assert not list(tmp_path.glob("*.decoders"))


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


def test_an_entry_too_large_for_the_limit_is_kept_nowhere(tmp_path: Path) -> None:
    """One entry does not push out all others."""
    cache = DecoderCache(tmp_path, size_limit=1000)
    cache.keep("a", solution(0, 500))
    assert len(cache) == 0


def test_read_only_writes_nothing(tmp_path: Path) -> None:
    """Entries are read; none is written, deleted or marked as used."""
    DecoderCache(tmp_path).keep("a", solution())
    path = tmp_path / "a.decoders"
    os.utime(path, (1.0, 1.0))
    cache = DecoderCache(tmp_path, read_only=True)
    found = cache.find("a", SHAPE)
    assert found is not None
    np.testing.assert_array_equal(found.decoders, solution().decoders)
    cache.keep("b", solution(1))
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="solved again"):
        assert DecoderCache(tmp_path, read_only=True).find("a", SHAPE) is None
    assert [p.name for p in tmp_path.iterdir()] == ["a.decoders"]


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    """Decoders are kept in memory then, and the build goes on."""
    (tmp_path / "file").write_text("in the way")
    cache = DecoderCache(tmp_path / "file" / "decoders")
    with pytest.warns(UserWarning, match="kept in memory alone"):
        cache.keep("a", solution())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.keep("b", solution(1))
    assert cache.find("b", SHAPE) is not None


def test_what_was_left_half_written_goes(tmp_path: Path) -> None:
    """Files of processes that died are deleted when they are old, those of live ones are not."""
    for name in (".old.decoders.x1", ".new.decoders.x2"):
        (tmp_path / name).write_bytes(b"half")
    os.utime(tmp_path / ".old.decoders.x1", (1.0, 1.0))
    DecoderCache(tmp_path).keep("a", solution())
    assert {p.name for p in tmp_path.iterdir()} == {".new.decoders.x2", "a.decoders"}


def test_clear(tmp_path: Path) -> None:
    """Nothing is left, in memory or on disk."""
    cache = DecoderCache(tmp_path)
    cache.keep("a", solution())
    cache.clear()
    assert len(cache) == 0
    assert cache.find("a", SHAPE) is None


BUILD = """
import sys, numpy as np, spikewright as sw
from spikewright.engines.decoder_cache import DecoderCache
sums = []
for turn in range(3):
    for seed in range(6):
        with sw.Network(seed=seed) as net:
            connection = sw.Connection(sw.Ensemble(300, 1), sw.Node(size_in=1))
        with sw.Simulator(net, decoder_cache=DecoderCache(sys.argv[1], size_limit=12_000)) as sim:
            sums.append(sim.data[connection].decoders.tobytes().hex()[:64])
print(*sums)
"""


def test_processes_share_a_folder(tmp_path: Path) -> None:
    """Two at once, each writing, reading and pushing out: both get what solving gives."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error:::spikewright", "-c", BUILD, str(tmp_path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    printed = []
    for process in running:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
        printed.append(out.decode().split())
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 6
    assert 0 < len(DecoderCache(tmp_path)) <= 6


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


def test_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the cache folder that the system names."""
    monkeypatch.delenv("SPIKEWRIGHT_CACHE_DIR", raising=False)
    for platform, variable in (("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path))
        assert default_folder() == tmp_path / "spikewright" / "decoders"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_folder() == Path.home() / "Library" / "Caches" / "spikewright" / "decoders"


def test_a_user_without_a_folder_has_decoders_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: one warning that names the variable, and the build goes on."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SPIKEWRIGHT_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    net, connection = model()
    with pytest.warns(UserWarning, match="set SPIKEWRIGHT_CACHE_DIR to a folder that can be"):
        built(net, connection, True)
    assert built(net, connection, True).solver_info["from"] == "memory"


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


def test_impossible_choices_are_refused(tmp_path: Path) -> None:
    """Of the argument and of the limit."""
    net, _ = model(20)
    with pytest.raises(BuildError, match=r"decoder_cache must be one of .*'sometimes'"):
        sw.Simulator(net, decoder_cache="sometimes")  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="size_limit must be above 0 bytes, got 0"):
        DecoderCache(tmp_path, size_limit=0)
