"""The native engine on networks with loops, synapses and neurons of every kind."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from engines.comparing import Exceeding, assert_same
from engines.looping_networks import DT, looping_network
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.operators import Delay
from spikewright.engines.reference import ReferenceEngine
from spikewright.errors import SimulationError
from spikewright.network.neurons import LIF, Elementwise, StochasticSpiking
from spikewright.network.synapses import Alpha, Lowpass
from spikewright.network.transforms import Dense

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native import thread_tuning
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import Region, with_regions


@pytest.mark.parametrize("decade", range(4))
def test_random_networks_equal_the_reference(decade: int) -> None:
    """Neurons of additions and divisions agree with the reference to the bit, loops included."""
    for seed in range(10 * decade, 10 * decade + 10):
        net = looping_network(np.random.default_rng(seed))
        assert_same(net.run(NativeEngine(threads=1)), net.run(ReferenceEngine()))


def test_counts_that_outgrow_bytes_are_among_them(exceeding: Exceeding) -> None:
    """In loops as elsewhere: filters, totals and all."""
    for seed in range(1050, 1090):
        net = looping_network(np.random.default_rng(seed))
        assert_same(net.run(NativeEngine(threads=1)), net.run(ReferenceEngine()))
    assert any(kernel._op.loops for kernel in exceeding())


def test_random_curved_networks_agree_with_the_reference() -> None:
    """Neurons with exp and log agree as far as two libraries' functions do."""
    for seed in range(30):
        net = looping_network(np.random.default_rng(seed), curved=True)
        found, expected = net.run(NativeEngine(threads=1)), net.run(ReferenceEngine())
        for x, y in zip(found, expected, strict=True):
            reach = 1e-5 * max(1.0, float(np.abs(y).max()))
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=reach)


@pytest.mark.parametrize("isa", instruction_sets())
def test_cuts_change_nothing(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are one result over batch, block, chunk, threads and instruction set."""
    for seed in range(2000, 2012):
        rng = np.random.default_rng(seed)
        net = looping_network(rng, curved=seed % 2 == 0)
        monkeypatch.delenv("SPIKEWRIGHT_ISA", raising=False)
        whole = net.run(NativeEngine(threads=1))
        monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
        assert_same(net.run(NativeEngine(threads=2)), whole)
        assert_same(net.run(NativeEngine(threads=3), block=2), whole)
        assert_same(net.run(NativeEngine(threads=1), chunk=1), whole)
        order = [int(i) for i in rng.permutation(len(net.fed))]
        assert_same(net.run(NativeEngine(threads=1), order), [array[order] for array in whole])


@pytest.mark.parametrize("curved", [False, True])
def test_threads_share_steps_without_a_change(
    curved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where threads outnumber samples and steps are long, each step of a loop is shared."""
    monkeypatch.setattr(thread_tuning, "_LONG_STEP", 0.0)
    monkeypatch.setattr(thread_tuning, "_THREAD_START", 1e-12)
    shared: list[int] = []
    monkeypatch.setattr(
        thread_tuning.ThreadTuner,
        "record_shared",
        lambda self, frames, spent: shared.append(frames),
    )
    for seed in range(3000, 3040):
        net = looping_network(np.random.default_rng(seed), curved=curved)
        assert_same(net.run(NativeEngine(threads=5)), net.run(NativeEngine(threads=1)))
    assert len(shared) > 10


def _recurrent(neuron_type: object, size: int = 30) -> sw.Network:
    rng = np.random.default_rng(0)
    with sw.Network(seed=0) as net:
        first = sw.Ensemble(
            size, neuron_type=neuron_type, gain=1.0, bias=rng.uniform(0.9, 1.4, size)
        )
        second = sw.Ensemble(size, neuron_type=LIF(), gain=1.0, bias=rng.uniform(0.9, 1.4, size))
        for pre in (first, second):
            for post in (first, second):
                weights = Dense(rng.normal(0, 0.003, (size, size)))
                sw.Connection(pre.neurons, post.neurons, Lowpass(0.005), weights)
        sw.Probe(first.neurons)
        sw.Probe(second.neurons, synapse=Alpha(0.01))
    return net


def test_a_loop_runs_in_one_region() -> None:
    """Two populations that reach each other are one region, step by step; none is left out."""
    program = with_regions(compile_network(_recurrent(LIF()), DT, 0, "float32"))
    loops = [op for op in program.operators if isinstance(op, Region) and op.loops]
    assert len(loops) == 1
    assert len(loops[0].operators) == 4 + 4 + 2 + 2  # maps, filters, sums, populations
    assert not [c for c in program.components if c.loops]


def test_spikes_wait_as_bytes() -> None:
    """Behind a delay in a loop spikes are counts still, and weights meet their events."""
    net = _recurrent(LIF())
    for number, connection in enumerate(net.all_connections):
        connection.delay = DT * number
    program = with_regions(compile_network(net, DT, 0, "float32"))
    (loop,) = (op for op in program.operators if isinstance(op, Region) and op.loops)
    waiting = [op for op in loop.operators if isinstance(op, Delay)]
    assert len(waiting) == 3
    assert loop.counts.issuperset(op.output for op in waiting)
    with sw.Simulator(net, DT, engine="native", progress=False) as sim:
        rows = {row.kernel for row in sim.plan}
    assert {
        "native: delay of 1 step",
        "native: delay of 3 steps",
        "native: Dense of events",
    } <= rows
    assert "native: Dense of values" not in rows


@pytest.mark.parametrize("engine", ["reference", "native", "torch"])
def test_a_delay_that_fits_no_memory_is_refused(engine: str) -> None:
    """At once, with the bytes that it would take and the connection's name."""
    with sw.Network() as net:
        sw.Connection(sw.Node(np.ones(10)), sw.Node(size_in=10), label="long", delay=1e7)
    with pytest.raises(SimulationError, match=r"state.*<Connection 'long'>"):
        sw.Simulator(net, DT, engine=engine, progress=False)


def test_leaky_loops_agree_with_the_reference_for_long() -> None:
    """Two thousand steps of recurrent leaky neurons give the reference's spikes."""
    program = compile_network(_recurrent(LIF()), DT, 0, "float32")
    native = Execution(program, NativeEngine(threads=1)).run(2000)
    reference = Execution(program, ReferenceEngine()).run(2000)
    assert native[0].any()
    for x, y in zip(native, reference, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-3)


def test_a_loop_calls_a_type_without_kernel_visibly() -> None:
    """One operator without kernel stays on the reference, and the plan says so."""
    net = _recurrent(StochasticSpiking(Elementwise.of("gelu")))
    with sw.Simulator(net, DT, engine="native", progress=False) as sim:
        rows = {row.operator: row for row in sim.plan}
        sim.run_steps(5)
    stochastic, leaky = (f"{ensemble!r}" for ensemble in net.all_ensembles)
    why = "StochasticSpiking of gelu has no native kernel"
    called = f"{why}; called from the native loop, step by step"
    assert rows[stochastic][1:3] == ("reference", called)
    assert rows[leaky][1:3] == ("native: population", "step by step, in a loop")


def test_a_plan_names_every_operator_once() -> None:
    """A plan has a row for every operator of the program, and prints as a table."""
    with sw.Simulator(_recurrent(LIF()), DT, engine="native", progress=False) as sim:
        plan = sim.plan
        assert [row.operator for row in plan] == [op.label for op in sim.program.operators]
        lines = str(plan).splitlines()
    assert lines[0].split() == ["operator", "kernel", "(native)", "work", "why"]
    assert len(lines) == 1 + len(plan)
    assert "native: Dense of events" in str(plan)


def test_other_engines_have_plans() -> None:
    """The reference's plan names its own kernels."""
    net = _recurrent(LIF())
    with sw.Simulator(net, DT, engine="reference", progress=False) as sim:
        assert {row.kernel for row in sim.plan} == {"reference"}


def test_runs_go_on_where_the_last_one_ended() -> None:
    """A second run goes on from where the first one ended, at any cut."""
    program = compile_network(_recurrent(LIF()), DT, 0, "float32")
    whole = Execution(program, NativeEngine(threads=1)).run(100)
    execution = Execution(program, NativeEngine(threads=1))
    parts = [execution.run(steps) for steps in (1, 30, 2, 67)]
    joined = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
    assert_same(joined, whole)


def test_a_converted_network_with_synapses_is_one_region() -> None:
    """Filters, before a map or behind it, stay with the populations; the plan says so."""
    from torch import manual_seed, nn

    manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 30, 3, 1, 1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(120, 10),
    )  # fmt: skip
    x = np.random.default_rng(0).random((3, 1, 10, 10)).astype(np.float32)
    conversion = sw.convert(
        model, spiking=True, synapse=0.01, scale_firing_rates=300.0, example_input=x[:1]
    )
    found = conversion.run(x, steps=40, engine="native", progress=False)
    expected = conversion.run(x, steps=40, engine="reference", progress=False)
    np.testing.assert_array_equal(found.output, expected.output)
    assert_same(list(found.spike_counts().values()), list(expected.spike_counts().values()))
    plan = conversion.plan(engine="native")
    left = {row.why for row in plan if row.kernel == "reference"}
    assert left == {
        "a source: constants are given once",
        "reads nothing that is made natively; constants are computed once",
    }
    assert any("Convolution of values" in row.kernel for row in plan)
    assert any(row.kernel == "native: filter" for row in plan)


def test_plans_check_what_runs_check() -> None:
    """A plan is refused for the settings for which a run is."""
    from torch import nn

    x = np.zeros((1, 4), np.float32)
    conversion = sw.convert(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), example_input=x)
    for wrong in ({"dt": 0.0}, {"precision": "half"}, {"seed": -1}):
        with pytest.raises(sw.errors.SimulationError):
            conversion.plan(**wrong)
