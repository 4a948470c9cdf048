"""The benchmarks, on tiny workloads: they compare what they say, and say what failed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import (
    network,
    peers,
    workloads,
)
from benchmarks.network import Flatten, Pool, Workload
from benchmarks.peer import engines as own
from benchmarks.peer.base import Outcome
from benchmarks.peer.client import LIBRARIES, Client, Library, WorkerError, missing, started
from benchmarks.peer.torch_modules import TorchRunner, formatted, modules
from benchmarks.workloads import ConvSpec, DenseSpec, Spec
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikewright.graph import evaluate

DENSE = Spec("dense", 8, 30, (64,), (DenseSpec(24), DenseSpec(16), DenseSpec(5)))
CONV = Spec(
    "conv",
    4,
    20,
    (3, 12, 12),
    (ConvSpec(4, 1, 1), Pool(2), ConvSpec(6, 2), Flatten(), DenseSpec(5)),
)
ROOT = Path(workloads.__file__).parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all tests share."""
    return tmp_path_factory.mktemp("cache")


def mean_spikes(work: Workload) -> list[float]:
    """Spikes per neuron and step of each layer, by the reference engine."""
    conversion = own.converted(work)
    run = own.run(conversion, work, engine="reference")
    sizes = [ensemble.n_neurons for ensemble in conversion.populations().values()]
    counts = run.spike_counts().values()
    return [c.sum() / (n * work.batch * work.steps) for c, n in zip(counts, sizes, strict=True)]


@pytest.mark.parametrize("spec", [DENSE, CONV], ids=lambda spec: spec.name)
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_every_layer_spikes_at_the_wanted_rate(spec: Spec, rate: float, cache: Path) -> None:
    """The reference engine counts the wanted mean of spikes per neuron and step in each layer."""
    found = mean_spikes(workloads.workload(spec, rate, cache))
    assert found == pytest.approx([rate] * 2, rel=0.03)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 1.7]))
def test_spikes_follow_the_integrate_and_fire_rule(seed: int, scale: float) -> None:
    """Spikes from the running maximum of the current's sum are those of a stepped neuron."""
    rng = np.random.default_rng(seed)
    currents = np.round(rng.normal(0.3, 1.0, (25, 6)) * 64) / 64  # dyadic: sums are exact
    factor = np.round(scale * 64) / 64
    voltage, expected = np.zeros(6), []
    for current in currents:
        voltage = voltage + factor * current
        fired = np.maximum(np.floor(voltage), 0.0)
        voltage -= fired
        expected.append(fired)
    np.testing.assert_array_equal(workloads.spikes(currents, factor, 25), expected)


@pytest.mark.parametrize("spec", [DENSE, CONV], ids=lambda spec: spec.name)
def test_graph_and_torch_module_are_the_same_network(spec: Spec, cache: Path) -> None:
    """Both forms of the source network give the same output for the workload's input."""
    work = workloads.workload(spec, 0.1, cache)
    (found,) = evaluate(network.as_graph(work), {"input": work.x}).values()
    with torch.inference_mode():
        expected = network.as_torch(work)(torch.from_numpy(work.x)).numpy()
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


# -- timing --


# -- comparison --


def outcome(*counts: float, outputs: Sequence[float] = (3.0, 4.0)) -> Outcome:
    """An outcome of one sample."""
    return Outcome(np.array([outputs]), counts)


TRUTH = peers.Truth.measured(
    [outcome(1000, 500), outcome(1001, 510), outcome(1000, 498, outputs=(3.0, 4.05))]
)


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (outcome(1000, 500), True),
        (outcome(1006, 467), True),
        (outcome(1007, 500), False),
        (outcome(1000, 600), False),
        (outcome(1000, 500, outputs=(3.0, 4.1)), True),
        (outcome(1000, 500, outputs=(3.0, 4.3)), False),
    ],
)
def test_another_model_is_told_from_rounding(found: Outcome, same: bool) -> None:
    """Spikes of any layer, or outputs, further off than rounding goes make another model."""
    assert peers.compare(found, TRUTH).same_model is same


class Neuron(nn.Module):
    """Integrate and fire with one spike a step; a hard reset is another model."""

    def __init__(self, hard: bool) -> None:
        super().__init__()
        self.hard, self.voltage = hard, torch.zeros(())

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        """The spikes of this step."""
        voltage = self.voltage + current
        fired = (voltage >= 1.0).to(current.dtype)
        self.voltage = voltage * (1.0 - fired) if self.hard else voltage - fired
        return fired


class Loop(TorchRunner):
    """A peer as the others are, without a library."""

    def __init__(self, work: Workload, hard: bool) -> None:
        self.net, self.x = formatted(
            nn.Sequential(*modules(work, lambda: Neuron(hard))), work, "channels_last"
        )
        self.neurons = [m for m in self.net if isinstance(m, Neuron)]
        self.steps = work.steps

    def simulate(self) -> torch.Tensor:
        for neuron in self.neurons:
            neuron.voltage = torch.zeros(())
        return sum(self.net(self.x) for _ in range(self.steps))


@pytest.mark.parametrize("spec", [DENSE, CONV], ids=lambda spec: spec.name)
@pytest.mark.parametrize("hard", [False, True])
def test_a_step_by_step_loop_is_the_same_model_unless_it_resets_to_zero(
    spec: Spec, hard: bool, cache: Path
) -> None:
    """The peers' modules and counters agree with the reference engine; a hard reset does not."""
    work = workloads.workload(spec, 0.5, cache)
    truth = peers.Truth.measured(own.truth(work, "one"))
    assert sum(truth.outcome.counts) > 100
    assert peers.compare(Loop(work, hard).outcome(), truth).same_model is not hard


# -- workers --


@pytest.fixture(scope="module")
def clients() -> Iterator[list[Client]]:
    """Workers of every library that is installed: at least PyTorch and Spikewright.

    Without what has to be compiled, which takes minutes.
    """
    libraries = [library for library in LIBRARIES if not missing(library)[0]]
    with started(libraries) as running:
        for client in running:
            client.contestants = [made for made in client.contestants if not made.compiled]
        yield running


@pytest.mark.slow
def test_all_that_is_installed_is_checked_and_timed(clients: list[Client], cache: Path) -> None:
    """Each contestant has a row with its agreement; L1 is the faster yardstick, ratio 1."""
    path = workloads.stored(CONV, 0.1, cache)
    settings = peers.Settings(rounds=5, budget=0.0, batch=CONV.batch, steps=CONV.steps)
    checks = peers.check(clients, path, settings)
    rows = {row["name"]: row for row in peers.measure(clients, path, checks, settings)}
    assert {"Spikewright native", "Spikewright torch"} <= set(rows)
    assert all(row["same_model"] for row in rows.values() if row["role"] == "own")
    yardsticks = [row for row in rows.values() if row["role"] == "yardstick"]
    assert len(yardsticks) == 2
    assert min(row["ratio"] for row in yardsticks) == 1.0
    for row in rows.values():
        assert row["timing"]["n"] == 5
        assert 0 < row["timing"]["low"] <= row["timing"]["median"] <= row["timing"]["high"]


def test_a_worker_that_dies_says_its_last_words() -> None:
    """A module that cannot be imported ends its process; the error quotes why."""
    with (
        pytest.raises(WorkerError, match="no_such_peer"),
        started([Library("Nobody", "no_such_peer", (), ())]),
    ):
        pass


def test_peers_are_imported_by_nothing_but_their_own_contestants() -> None:
    """No module of the benchmarks imports a peer at its top: they are optional."""
    names = {name.split(".")[0] for library in LIBRARIES for name in library.imports}
    names -= {"torch", "spikewright"}
    files = [*ROOT.glob("*.py"), *(ROOT / "peer").glob("*.py")]
    assert len(files) > 15
    for file in files:
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import):
                found = {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                found = {(statement.module or "").split(".")[0]}
            else:
                continue
            assert not found & names, f"{file.name} imports {found & names}"


# -- document --


def row(name: str, role: str, ratio: float, same: bool = True, **changed: Any) -> dict[str, Any]:
    """A row as `peers.measure` makes it."""
    agreement = {
        "spikes": 900.0,
        "off": 1.0,
        "off_share": 0.4,
        "deviation": 2e-7,
        "within": 1e-2,
        "same_model": same,
    }
    return {
        "name": name,
        "role": role,
        "spikes": "many",
        "compiled": False,
        "layout": "contiguous",
        "agreement": None if role == "yardstick" else agreement,
        "same_model": same,
        "timing": {"median": ratio / 10, "n": 5},
        "ratio": ratio,
        **changed,
    }


# -- the other commands --
