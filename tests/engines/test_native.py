"""The native engine: the reference's results, however the work is cut and whatever runs it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from engines.comparing import Exceeding, assert_same
from engines.random_networks import DT, RandomNetwork, random_network
from spikewright.engines import compile_network
from spikewright.engines.native._kernels import Reading, least_voltage, pack
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import Region
from spikewright.engines.native.scheduling import fit_to_cache
from spikewright.engines.native.weight_packing import lane_widths
from spikewright.engines.reference import ReferenceEngine
from spikewright.errors import BuildError
from spikewright.network.neurons import TOLERANCE

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_random_networks_are_the_references_spike_by_spike(seed: int) -> None:
    """Dense, convolved, pooled, sliced, recombined, silent, saturated: always the same numbers."""
    net = random_network(np.random.default_rng(seed))
    program = net.program()
    assert_same(net.run(NativeEngine(), program), net.run(ReferenceEngine(), program))


@pytest.mark.slow
def test_a_hundred_random_networks() -> None:
    """The same, for seeds that everyone tests."""
    for seed in range(100):
        net = random_network(np.random.default_rng(seed))
        program = net.program()
        assert_same(net.run(NativeEngine(2), program), net.run(ReferenceEngine(), program))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(1, 9), st.integers(1, 5))
def test_cuts_change_nothing(seed: int, threads: int, block: int, chunk: int) -> None:
    """Batch, order, time block, chunk and threads are nobody's business."""
    rng = np.random.default_rng(seed)
    net = random_network(rng)
    program = net.program()
    whole = net.run(NativeEngine(1), program)
    order = [int(i) for i in rng.permutation(len(net.fed))]
    assert_same(net.run(NativeEngine(threads), program, block=block, chunk=chunk), whole)
    assert_same(net.run(NativeEngine(threads), program, order), [array[order] for array in whole])
    assert_same(net.run(NativeEngine(threads), program, [0]), [array[:1] for array in whole])


_DIGEST = """
import hashlib, sys
import numpy as np
from engines.random_networks import random_network
from spikewright.engines.native.engine import NativeEngine
digest = hashlib.sha256()
for seed in range(20):
    for array in random_network(np.random.default_rng(seed)).run(NativeEngine()):
        digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


@cache
def reference_digest() -> str:
    """Of the reference's bytes."""
    digest = hashlib.sha256()
    for seed in range(20):
        for array in random_network(np.random.default_rng(seed)).run(ReferenceEngine()):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("isa", instruction_sets())
def test_instruction_sets_agree_to_the_bit(isa: str) -> None:
    """Each path that this processor has, in a process of its own, gives the reference's bytes."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "SPIKEWRIGHT_ISA": isa, "PYTHONPATH": path}
    found = subprocess.run(
        [sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == reference_digest()


def test_environment_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instruction sets and threads that cannot be are refused by name."""
    monkeypatch.setenv("SPIKEWRIGHT_ISA", "altivec")
    with pytest.raises(BuildError, match=r"SPIKEWRIGHT_ISA='altivec'.*baseline"):
        NativeEngine()
    monkeypatch.setenv("SPIKEWRIGHT_ISA", "baseline")
    assert NativeEngine(1).isa == "baseline"
    monkeypatch.setenv("SPIKEWRIGHT_THREADS", "none")
    with pytest.raises(BuildError, match="SPIKEWRIGHT_THREADS must be a whole number"):
        NativeEngine()
    monkeypatch.setenv("SPIKEWRIGHT_THREADS", "3")
    assert NativeEngine().threads == 3


def stack(gain: float, steps: int = 12) -> RandomNetwork:
    """Two populations of 20, the first driven by held currents around `gain` spikes a step."""
    rng = np.random.default_rng(4)
    network = sw.Network(seed=0)
    with network:
        stimulus = sw.Node(np.zeros(20))
        first, second = (
            sw.Ensemble(20, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0) for _ in range(2)
        )
        sw.Connection(stimulus, first.neurons, None)
        sw.Connection(first.neurons, second.neurons, None, rng.normal(0.0, 0.3, (20, 20)))
        sw.Probe(second.neurons, "spike_count")
        sw.Probe(first.neurons, "spike_count")
    fed = rng.uniform(0.5, 1.0, (3, 1, 20)) * gain / DT
    return RandomNetwork(network, stimulus, [first, second], fed, steps)


@pytest.mark.parametrize("gain", [1.0, 5.0, 20.0, 120.0, 127.6, 200.0, 1e6])
def test_counts_of_any_size(gain: float) -> None:
    """Few spikes a step, many, and more than a byte holds: the same as the reference."""
    net = stack(gain)
    assert_same(net.run(NativeEngine(2)), net.run(ReferenceEngine()))


def test_counts_outgrow_a_byte_in_the_middle_of_a_run(exceeding: Exceeding) -> None:
    """In the middle of a block; totals go on."""
    net = stack(1.0, steps=40)
    rising = np.linspace(0.5, 200.0, net.steps)[None, :, None] / DT
    net.fed = np.broadcast_to(rising, (3, net.steps, 20)).copy()
    program, engine = net.program(), NativeEngine(2)
    assert_same(net.run(engine, program, block=7), net.run(ReferenceEngine(), program))
    assert exceeding()


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("block", [1, 7, 40])
def test_counts_outgrow_a_byte_in_some_samples_alone(block: int, threads: int) -> None:
    """Others of the batch are as they would be without them."""
    net = stack(1.0, steps=40)
    rng = np.random.default_rng(8)
    net.fed = rng.uniform(0.5, 3.0, (40, net.steps, 20)) / DT
    late = rng.permutation(40)[:5]
    net.fed[late, 20:] *= 200.0
    program, engine = net.program(), NativeEngine(threads)
    assert_same(net.run(engine, program, block=block), net.run(ReferenceEngine(), program))


def test_a_feed_forward_network_is_one_region() -> None:
    """Convolution, pool, flatten, dense and output run as one; the analog layer by itself."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Conv2d(8, 16, 3),
        torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10),
    )  # fmt: skip
    example = torch.zeros(1, 1, 12, 12)
    conversion = sw.convert(model, spiking=True, example_input=example)
    program = compile_network(conversion.network, 1.0, 0, "float32")
    prepared = NativeEngine().prepare(program)
    regions = [op for op in prepared.operators if isinstance(op, Region)]
    assert [op.linear for op in regions] == [True, False]
    assert len(regions[0].operators) == 1
    assert len([op for op in prepared.operators if not isinstance(op, Region)]) <= 5
    wide = NativeEngine().prepare(compile_network(conversion.network, 1.0, 0, "float64"))
    assert [op.linear for op in wide.operators if isinstance(op, Region)] == [True, False]


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-12, 1e12), st.integers(-3, 3))
def test_least_voltages_are_the_formulas(threshold: float, spikes: int) -> None:
    """The least voltage gives the spikes, the next number below does not."""
    least = least_voltage(threshold, spikes, TOLERANCE)

    def count(voltage: float) -> float:
        return float(np.floor(voltage / threshold + TOLERANCE))

    assert count(least) >= spikes
    assert count(np.nextafter(least, -np.inf)) < spikes


def budgets(rows: np.ndarray, reading: Reading = Reading.plain) -> list[int]:
    """Of integers `(rows, columns)`; one entry of a column makes them so on the grid."""
    marked = np.concatenate([rows, np.full((1, rows.shape[1]), 2**24)]).astype(np.float64)
    kept = np.arange(len(rows), dtype=np.int32)
    channels = len(rows) if reading is Reading.both else 0
    widths = lane_widths(rows.shape[1], len(rows))
    columns = np.ascontiguousarray(marked.T)
    return pack(
        columns, order=kept, widths=widths, reading=reading, channels=channels, bits=25
    ).budgets


def _largest_sum(rows: np.ndarray, events: int, repeats: int) -> int:
    """The largest magnitude that so many entries of a column add up to, each so often at most."""
    signed = np.concatenate([np.maximum(rows, 0), np.maximum(-rows, 0)], axis=1).astype(np.int64)
    often = np.repeat(-np.sort(-signed, axis=0), repeats, axis=0)
    return int(often[:events].sum(axis=0).max())


@pytest.mark.parametrize("repeats", [1, 2, 7, 15])
@pytest.mark.parametrize("spread", [0, 1])
def test_budgets_hold_the_largest_sum(repeats: int, spread: int) -> None:
    """So many events never leave 32 bits, one more may; small weights have no bound."""
    rng = np.random.default_rng(spread)
    rows = rng.integers(-(2**24), 2**24, (500, 8)).astype(np.int32)
    if spread:
        rows = (rng.standard_normal((2000, 8)) * 2**22).clip(-(2**24), 2**24).astype(np.int32)
    found = budgets(rows)
    assert found[0] * int(np.abs(rows).max()) < 2**31
    assert found[repeats] >= 127
    assert _largest_sum(rows, found[repeats], repeats) < 2**31
    assert _largest_sum(rows, found[repeats] + 1, repeats) >= 2**31
    assert min(budgets((rows[:40] // 64).astype(np.int32))[1:]) > 2**30
    assert budgets(np.zeros((3, 2), np.int32))[0] >= 127


@pytest.mark.parametrize("channels", [1, 10, 16, 33, 64, 70, 130, 256])
@pytest.mark.parametrize("rows", [9, 5000])
def test_lanes_cover_the_channels(channels: int, rows: int) -> None:
    """Blocks of 16, 32 or 64, with less than a block to spare."""
    widths = lane_widths(channels, rows)
    assert set(widths) <= {16, 32, 64}
    assert channels <= sum(widths) < channels + 16


@pytest.mark.parametrize("step_bytes", [0, 100, 10_000, 10_000_000])
def test_cuts_fit_the_run(step_bytes: int) -> None:
    """At least a step and a sample, at most the run's."""
    for batch, steps, threads in [(1, 1, 1), (1, 500, 4), (64, 60, 2), (3, 7, 8)]:
        block, group = fit_to_cache(step_bytes, batch, steps, threads)
        assert 1 <= block <= steps
        assert 1 <= group <= batch
