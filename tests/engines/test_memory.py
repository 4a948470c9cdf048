"""Memory: what a run needs is known before it starts, bounds what it takes, and is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright.engines import memory, recording
from spikewright.engines.reference import ReferenceEngine
from spikewright.errors import SimulationError
from spikewright.showing.demo import MODEL

MIB = 2**20


def dense(neurons: int = 50) -> sw.Network:
    """Held current into a population, whose counts a second, small one reads; both are probed."""
    rng = np.random.default_rng(1)
    with sw.Network(seed=0) as network:
        stimulus = sw.Node(rng.uniform(0.0, 300.0, neurons))
        a, b = (
            sw.Ensemble(n, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
            for n in (neurons, 3)
        )
        sw.Connection(stimulus, a.neurons, None)
        sw.Connection(a.neurons, b.neurons, None, rng.normal(0.0, 1.0, (3, neurons)) / neurons)
        sw.Probe(b.neurons)
    return network


def recorded(neurons: int = 50) -> sw.Network:
    """The same, with every spike of the large population recorded."""
    network = dense(neurons)
    with network:
        sw.Probe(network.ensembles[0].neurons)
    return network


def loop(neurons: int = 50) -> sw.Network:
    """A population that inhibits itself through a synapse; a small one is probed."""
    network = dense(neurons)
    with network:
        a = network.ensembles[0]
        sw.Connection(a.neurons, a.neurons, 0.01, sw.transforms.Scale(-0.5))
    return network


def filtered(neurons: int = 50) -> sw.Network:
    """Spikes through a second-order synapse, no loop."""
    network = dense(neurons)
    with network:
        c = sw.Ensemble(neurons, neuron_type=sw.LIF(), gain=1.0, bias=0.0)
        sw.Connection(network.ensembles[0].neurons, c.neurons, sw.Alpha(0.01))
    return network


def bipolar(neurons: int = 50) -> sw.Network:
    """As `dense`, of neurons that take spikes back: two totals of each."""
    network = sw.Network(seed=0)
    rng = np.random.default_rng(1)
    with network:
        stimulus = sw.Node(rng.uniform(-300.0, 300.0, neurons))
        kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=1)
        a, b = (sw.Ensemble(n, neuron_type=kind, gain=1.0, bias=0.0) for n in (neurons, 3))
        sw.Connection(stimulus, a.neurons, None)
        sw.Connection(a.neurons, b.neurons, None, rng.normal(0.0, 1.0, (3, neurons)) / neurons)
        sw.Probe(b.neurons)
    return network


NETWORKS: dict[str, Callable[[int], sw.Network]] = {
    "dense": dense, "recorded": recorded, "loop": loop, "filtered": filtered, "bipolar": bipolar,
}  # fmt: skip


@pytest.fixture
def traced(engine: str) -> Iterator[Callable[[], int]]:
    """The most bytes that arrays and objects took up since the test began."""
    with sw.Simulator(dense(), engine=engine, progress=False) as sim:
        sim.run_steps(2)  # what is imported late is no part of the matter
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize(("batch", "steps"), [(10**9, 10), (3, 10**13)])
def test_what_cannot_fit_is_refused_at_once(
    engine: str, batch: int, steps: int, traced: Callable[[], int]
) -> None:
    """Before anything is allocated; the error has sizes, the largest part and what to do."""

    def attempt() -> None:
        with sw.Simulator(dense(), batch_size=batch, engine=engine, progress=False) as sim:
            sim.run_steps(steps)

    with pytest.raises(SimulationError) as error:
        attempt()
    text = str(error.value)
    assert f"{batch} samples" in text and "GiB are available" in text
    assert f"on the {engine} engine" in text
    assert ("batch_size=" if steps == 10 else "sample_every=") in text
    assert ("state of" if steps == 10 else "recording of <Probe") in text
    assert traced() < 5 * MIB


def test_a_conversion_is_refused_before_its_first_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What all samples keep counts before any of them run; less fits."""
    conversion = sw.convert(MODEL, spiking=True)
    (node,) = conversion.inputs.values()
    x = np.random.default_rng(0).uniform(0.0, 1.0, (6000, *node.shape_out))
    needed = conversion.memory(6000, 500, batch_size=20)
    assert needed.only("recording").bytes == 4 * 6000 * 500 * 10
    assert conversion.memory(20, 500, batch_size=20).bytes < needed.bytes - 4 * 5980 * 500 * 10
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "0.1")

    def never(*arguments: object) -> None:
        raise AssertionError("a part was run")

    with monkeypatch.context() as patch:
        patch.setattr(engines.Execution, "run", never)
        with pytest.raises(SimulationError, match=r"6000 samples and 500 steps would need .*GiB"):
            conversion.run(x, steps=500, progress=False, batch_size=20)
    assert conversion.run(x[:20], steps=5, progress=False).predict().shape == (20, 10)


@pytest.mark.parametrize(
    ("kind", "steps", "item"),
    [
        (sw.IntegrateAndFire(max_spikes_per_step=1), 127, 1),
        (sw.IntegrateAndFire(max_spikes_per_step=1), 128, 2),
        (sw.IntegrateAndFire(max_spikes_per_step=300), 127, 4),
        (sw.IntegrateAndFire(), 5, 4),
        (sw.BipolarIntegrateAndFire(max_spikes_per_step=2), 60, 2 * 1),
        (sw.SignedIntegrateAndFire(), 60, 2 * 4),
        (sw.LIF(), 100, 1),
        (sw.RectifiedLinear(), 5, 8),
        (sw.Tanh(), 5, 2 * 8),
    ],
    ids=repr,
)
def test_totals_take_no_more_bytes_than_surely_hold_them(
    kind: sw.NeuronType, steps: int, item: int
) -> None:
    """By neuron type and steps: capped spikes in the smallest integers, others in int32."""
    with sw.Network(seed=0) as net:
        cells = sw.Ensemble((3, 5), neuron_type=kind, gain=1.0, bias=4e5)
    program = engines.compile_network(net, 0.001, 0, "float32")
    execution = engines.Execution(program, engines.get("reference", program), 4, [cells])
    execution.run(steps)
    found = execution.summed()[cells]
    held = found.sent.nbytes + (found.net.nbytes if found.net is not found.sent else 0)
    assert held == 4 * 15 * item
    assert np.all(found.sent > 0) and found.sent.shape == found.net.shape == (4, 3, 5)
    if kind.most_spikes is not None:
        assert found.sent.max() == steps * kind.most_spikes or isinstance(kind, sw.LIF)


def test_spikes_that_cannot_be_counted_are_an_error() -> None:
    """Rather than a number that has wrapped around, or none at all."""
    for bias in (1e15, 1e308):
        with sw.Network(seed=0) as net:
            cells = sw.Ensemble(2, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=bias)
        program = engines.compile_network(net, 0.1, 0, "float64")
        execution = engines.Execution(program, engines.get("reference", program), 1, [cells])
        with np.errstate(all="ignore"):
            execution.run(100)
        with pytest.raises(SimulationError, match=r"Ensemble.*a neuron sent .* up to 2147483647"):
            execution.totals()


def test_what_a_run_counts_is_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are filled into arrays of the whole: beside those, one part's are there at a time."""
    conversion = sw.convert(MODEL, spiking=True, max_spikes_per_step=1)
    (node,) = conversion.inputs.values()
    x = np.random.default_rng(0).uniform(0.0, 1.0, (1000, *node.shape_out)).astype(np.float32)
    whole = conversion.run(x[:300], steps=20, engine="reference", progress=False)
    neurons = sum(p.totals[0].size for p in whole.populations.values())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run = conversion.run(x, steps=20, engine="reference", progress=False, batch_size=100)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {p.totals.dtype for p in run.populations.values()} == {np.dtype(np.int8)}
    kept = 1000 * (neurons + 4 * 20 * 10)
    assert kept <= after - before < 1.2 * kept
    needed = conversion.memory(1000, 20, engine="reference", batch_size=100)
    assert needed.only("totals").bytes < 1000 * neurons + 100 * 40 * neurons
    assert peak - before < needed.bytes + x.nbytes * 2
    for name, population in whole.populations.items():
        np.testing.assert_array_equal(run.populations[name].totals[:300], population.totals)
    assert isinstance(run.output, np.ndarray) and isinstance(whole.output, np.ndarray)
    np.testing.assert_array_equal(run.output[:300], whole.output)


@pytest.mark.parametrize(("batch", "steps"), [(0, 5), (5, 0), (2.5, 5), (True, 5)])
def test_memory_of_no_run_is_refused(batch: int, steps: int) -> None:
    """A number of samples or steps that no run has is named, not computed with."""
    conversion = sw.convert(MODEL, spiking=True)
    with pytest.raises(SimulationError, match=r"(batch|steps) must be a whole number from 1"):
        conversion.memory(batch, steps)


def test_the_bound_is_a_sum_that_can_be_read() -> None:
    """State per neuron and sample is as documented; only recordings grow with steps."""
    with sw.Simulator(dense(64), batch_size=5, engine="reference", progress=False) as sim:
        few, many = sim.memory(2000), sim.memory(4000)
    assert [part.bytes for part in few.only("state")] == [8 * 64 * 5, 8 * 3 * 5, 8 * 67 * 5]
    assert [part.bytes for part in few.only("recording")] == [4 * 5 * 2000 * 3]
    assert many.bytes - few.bytes == 4 * 5 * 2000 * 3
    assert few.bytes == sum(part.bytes for part in few)
    table = str(few)
    assert table.splitlines()[0].split() == ["kind", "of", "MiB", "how"]
    assert table.splitlines()[-1].split() == ["total", f"{few.bytes / MIB:.1f}"]
    assert len(few) == len(list(few)) and few[0].kind == "weights"


def test_where_memory_is_short_blocks_are_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fits with fewer steps at a time runs so, with the same results."""
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=5.0)
    (node,) = conversion.inputs.values()
    x = np.random.default_rng(0).uniform(0.0, 1.0, (100, *node.shape_out))
    needed: dict[int, int] = {}  # by the steps at a time
    ask = engines.PreparedRun.running

    def watched(
        self: engines.PreparedRun, first: int, steps: int, block: int, constants: Any
    ) -> Any:
        memory = ask(self, first, steps, block, constants)
        needed[block] = memory.bytes
        return memory

    monkeypatch.setattr(engines.PreparedRun, "running", watched)
    whole = conversion.run(x, steps=64, engine="reference", progress=False)
    ((block, most),) = needed.items()
    monkeypatch.setenv(memory.LIMIT_VARIABLE, str(0.75 * most / 2**30))
    short = conversion.run(x, steps=64, engine="reference", progress=False)

    assert min(needed) < block
    assert needed[min(needed)] <= 0.75 * most
    np.testing.assert_array_equal(short.output, whole.output)


@pytest.mark.parametrize("text", ["many", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, with what it was."""
    monkeypatch.setenv(memory.LIMIT_VARIABLE, text)
    with pytest.raises(SimulationError, match=f"SPIKEWRIGHT_MEMORY must be .* got '{text}'"):
        memory.available()


def test_a_limit_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for every run, and what fits it runs."""
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "0.25")
    assert memory.available() == 2**28
    with sw.Simulator(recorded(), batch_size=10, progress=False) as sim:
        sim.run_steps(10)
        sim.run_steps(10)
        with pytest.raises(SimulationError, match="recording of <Probe"):
            sim.run_steps(10**6)


def test_small_runs_take_what_was_seen_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked up once for many in a row, and again a tenth of a second later."""
    now, looked = [1e9], []
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(memory, "_of_machine", lambda: looked.append(now[0]) or 2**40)
    monkeypatch.setattr(memory, "_of_groups", lambda: iter(()))
    memory._seen_in.cache_clear()
    for later in (0.0, 0.05, 0.04, 0.02, 0.05):
        now[0] += later
        assert memory.recently_available() == 2**40

    assert looked == pytest.approx([1e9, 1e9 + 0.11])
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "0.25")
    assert memory.recently_available() == 2**28


def test_limits_of_control_groups_are_read(tmp_path: Path) -> None:
    """Both versions, every group around the process; cached files are room."""
    inner, first = tmp_path / "a" / "b", tmp_path / "memory" / "c"
    for folder, limit, names in (
        (inner, "max", ("max", "current")),
        (tmp_path / "a", "5000", ("max", "current")),
        (first, "9000", ("limit_in_bytes", "usage_in_bytes")),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip(names, (limit, "2000"), strict=True):
            (folder / f"memory.{name}").write_text(text + "\n")
    (tmp_path / "a" / "memory.stat").write_text("anon 7\ninactive_file 300\n")
    (first / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 400\n")
    membership = tmp_path / "cgroup"
    membership.write_text("4:memory:/c\n3:cpu,cpuacct:/c\n0::/a/b\n")
    assert sorted(memory._of_groups(membership, tmp_path)) == [3300, 7400]
    assert list(memory._of_groups(tmp_path / "none", tmp_path)) == []


def test_where_nothing_is_known_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not say what is left runs what it is given."""
    monkeypatch.setattr(memory, "_of_machine", lambda: None)
    monkeypatch.setattr(memory, "_of_groups", lambda: iter(()))
    assert memory.available() is None
    with sw.Simulator(dense(), batch_size=2, progress=False) as sim:
        sim.run_steps(3)
        needed = sim.memory(10**15)
    needed.require(memory.available(), "a run")


def test_recording_takes_no_memory_beside_its_array() -> None:
    """Values of a block, of every n-th step and times a factor, go where they stay."""
    with sw.Network(seed=0) as net:
        node = sw.Node(np.zeros(1000))
        for every in (None, 0.003):
            sw.Probe(node, sample_every=every)
    program = engines.compile_network(net, 0.001, 0, "float32")
    recorder = recording.Recorder(program, ReferenceEngine(), 2, 4, 100)
    block = np.random.default_rng(0).normal(size=(2, 90, 1000))
    tracemalloc.start()
    for number, one in enumerate(program.recordings):
        recorder.record([(one.signal, number)], {one.signal: block}, 10, slice(None), 90)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < block.nbytes / 10
    whole, thirds = recorder.arrays
    np.testing.assert_array_equal(whole[:, 10:], block.astype(np.float32))
    np.testing.assert_array_equal(thirds[:, 3:], block[:, 0::3].astype(np.float32))
