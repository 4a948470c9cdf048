"""Sparse weights of spikes, natively by sender: every form of weights, on every path."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from spikewright import engines
from spikewright.engines import Engine, Execution, compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.engines.operators import DelayedLinear, Filter, Linear
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.connection import input_shape
from spikewright.network.neurons import RegularSpiking, SpikingLeakyReLU
from spikewright.network.synapses import Alpha, Lowpass
from spikewright.network.transforms import Sparse
from spikewright.simulator import Simulator

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native.csc import DelayedCscWeights
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.thread_tuning import ThreadTuner

DT = 0.001
KINDS = (
    sw.IntegrateAndFire(),
    sw.SpikingRectifiedLinear(),
    sw.BipolarIntegrateAndFire(),
    SpikingLeakyReLU(),
    RegularSpiking(sw.RectifiedLinear()),
)
FORMS = {
    "one weight": "lists by sender, a weight each",
    "one a sender": "lists by sender, a weight each",
    "few bits": "lists by sender, 8-bit weights",
    "some bits": "lists by sender, 16-bit weights",
    "any": "lists by sender, 32-bit weights",
}
WIDE = ("one weight", "one a sender", "any")  # of more bits than single precision has


def entries(rng: np.random.Generator, form: str, out: int, size: int) -> Sparse:
    """Entries in no order, some of them repeated; every receiver and sender may have none."""
    count = int(rng.integers(out * size // 8, out * size)) + 1
    rows, columns = rng.integers(0, out, count), rng.integers(0, size, count)
    unit = rng.choice([0.37, 1.2]) * 20.0 / np.sqrt(count)
    if form == "one weight":
        values = np.full(count, unit)
    elif form == "one a sender":
        each = unit * rng.choice([1.0, -5.0], size)
        at_all = np.zeros(out * 2, np.int64)  # so that the rows' largest entries are alike
        columns = np.concatenate([columns, np.repeat([np.argmax(np.abs(each))], len(at_all))])
        rows = np.concatenate([rows, np.arange(out), np.arange(out)])
        values = each[columns]
    else:
        bits = {"few bits": 6, "some bits": 12}.get(form)
        whole = rng.integers(1, 2 ** (bits or 2), count) * rng.choice([-1, 1], count)
        values = rng.normal(0, unit, count) if bits is None else whole * 2.0 ** (2 - bits)
    return Sparse(rows, columns, values, (out,), size)


def network(rng: np.random.Generator, form: str, longest: int = 0) -> sw.Network:
    """Populations that send to each other and to themselves, whole or in parts, filtered or not.

    With a `longest` delay each synapse has its own, up to so many steps.
    """
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(rng.uniform(0, 900, 20), label="stimulus")
        cells = []
        for n in rng.integers(1, 60, 3):
            kind = KINDS[rng.integers(len(KINDS))]
            bias = rng.uniform(-200, 900, n)
            cells.append(sw.Ensemble(n, None, neuron_type=kind, gain=np.ones(n), bias=bias))
            weights = rng.normal(0, 0.1, (n, 20))
            sw.Connection(stimulus, cells[-1].neurons, None, weights)
            sw.Probe(cells[-1].neurons)
        for i, pre in enumerate(cells):
            for j, post in enumerate(cells):
                if rng.random() < 0.7:
                    closes = i >= j
                    connect(rng, form, pre.neurons, post.neurons, closes, longest)
        connect(rng, form, cells[0].neurons, cells[2].neurons, False, longest)
    return net


def connect(
    rng: np.random.Generator, form: str, pre: Any, post: Any, closes: bool, longest: int = 0
) -> None:
    """A sparse connection, of parts or of all; one that closes a loop waits."""
    sizes = [math.prod(input_shape(end)) for end in (pre, post)]
    ends = [
        end[rng.integers(n) :: 2] if rng.random() < 0.3 else end
        for end, n in zip((pre, post), sizes, strict=True)
    ]
    size, out = (
        n if end is whole else len(range(n)[end.key[0]])
        for end, whole, n in zip(ends, (pre, post), sizes, strict=True)
    )
    synapse = [None, Lowpass(0.004), Alpha(0.003)][rng.integers(3)]
    delay: float | NDArray = DT * int(rng.integers(0, 3))
    if closes and synapse is None:
        delay += DT
    weights = entries(rng, form, out, size)
    if longest:
        delay = DT * rng.integers(1, longest + 1, len(weights.values))
    sw.Connection(*ends, synapse, weights, delay=delay)


def run(
    net: sw.Network, engine: Engine, precision: Precision = "float32", **cut: int
) -> list[NDArray]:
    """What is recorded of two samples in two runs, one after the other."""
    program = compile_network(net, DT, 0, precision)
    execution = Execution(program, engine, 2, **cut)
    parts = [execution.run(steps) for steps in (3, 20)]
    return [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]


@pytest.mark.parametrize(
    ("form", "isa", "precision"), in_turn(3 * [*FORMS], instruction_sets(), PRECISIONS)
)
def test_every_form_equals_the_reference(
    form: str, isa: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, whatever the block, threads and instruction set; the plan names the form.

    Of float64 weights of more bits than a grid of 24 has are doubles.
    """
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    seen, spikes = set(), 0
    for seed in range(8):
        net = network(np.random.default_rng(seed), form)
        with Simulator(net, DT, engine="native", precision=precision, progress=False) as sim:
            seen |= {row.kernel for row in sim.plan}
        expected = run(net, ReferenceEngine(), precision)
        spikes += sum(np.count_nonzero(x) for x in expected)
        for found in (
            run(net, NativeEngine(threads=1), precision),
            run(net, NativeEngine(threads=3), precision, block=4),
        ):
            assert_same(found, expected)
    assert spikes > 1000
    wanted = FORMS[form]
    if precision == "float64" and form in WIDE:
        wanted = "lists by sender, 64-bit weights"
    assert any(kernel.endswith(wanted) for kernel in seen), seen


@pytest.mark.parametrize(
    ("longest", "isa", "precision"), in_turn(3 * [1, 4, 40], instruction_sets(), PRECISIONS)
)
def test_delays_by_synapse_equal_the_reference(
    longest: int, isa: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, whatever the block, threads and instruction set; no kernel is the reference's."""
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    seen, spikes, loops = [], 0, set()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        net = network(rng, "any", longest)
        with net:  # what no loop reads runs in blocks of time
            (pre, *_) = net.all_ensembles
            connect(rng, "any", pre.neurons, end := sw.Node(size_in=30), False, longest)
            sw.Probe(end)
        with Simulator(net, DT, engine="native", precision=precision, progress=False) as sim:
            delayed = [row for row in sim.plan if "with delays" in row.kernel + row.why]
        seen += [row.kernel for row in delayed]
        loops |= {"loop" in row.why for row in delayed}
        expected = run(net, ReferenceEngine(), precision)
        spikes += sum(np.count_nonzero(x) for x in expected)
        for found in (
            run(net, NativeEngine(threads=1), precision),
            run(net, NativeEngine(threads=3), precision, block=4),
        ):
            assert_same(found, expected)
    assert spikes > 500 and loops == {True, False}
    assert all(kernel.startswith("native: Sparse with delays of up to") for kernel in seen), seen


@pytest.mark.parametrize("isa", instruction_sets())
def test_threads_share_receivers_of_delayed_synapses(
    isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many receivers are cut into parts, which threads take where there is one sample."""
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    rng, n = np.random.default_rng(6), 700
    places = rng.integers(0, n, (2, 90_000))
    with sw.Network(seed=0) as net:
        kind = sw.GridLIF(0.02, 0.002, -np.inf, amplitude=DT)
        bias = rng.normal(1.3, 0.2, n)
        cells = sw.Ensemble(n, None, neuron_type=kind, gain=np.ones(n), bias=bias)
        weights = Sparse(*places, rng.normal(0, 0.2, places.shape[1]), (n,), n)
        delays = DT * rng.integers(1, 20, places.shape[1])
        link = sw.Connection(cells.neurons, cells.neurons, 0.002, weights, delay=delays)
        sw.Connection(cells.neurons, sw.Node(size_in=n), None, weights, delay=delays)
        sw.Probe(cells.neurons), sw.Probe(link, "input")
    program = compile_network(net, DT, 0, "float32")
    (lists, *_) = [
        DelayedCscWeights(op) for op in program.operators if isinstance(op, DelayedLinear)
    ]
    assert lists.parts == 4
    results = []
    for engine in (ReferenceEngine(), NativeEngine(threads=1), NativeEngine(threads=3)):
        with monkeypatch.context() as patched:
            patched.setattr(ThreadTuner, "shares_frames", True)
            results.append(Execution(program, engine, 1).run(60))
    assert np.count_nonzero(results[0][0]) > 500
    for found in results[1:]:
        assert_same(found, results[0])


def test_delays_by_synapse_of_counts_that_outgrow_bytes() -> None:
    """Their layer goes on in doubles, and what waited arrives."""
    rng = np.random.default_rng(7)
    for closes in (False, True):
        with sw.Network() as net:
            kind, stimulus = (
                sw.SpikingRectifiedLinear(),
                sw.Node(lambda t: 40.0 + 2e5 * (t > 0.012)),
            )
            cells = sw.Ensemble(30, None, neuron_type=kind, gain=np.ones(30), bias=np.zeros(30))
            sw.Connection(stimulus, cells.neurons, None, rng.uniform(0.5, 1.0, (30, 1)))
            other = sw.Ensemble(30, None, neuron_type=kind, gain=np.ones(30), bias=np.zeros(30))
            post = cells if closes else other
            weights = entries(rng, "few bits", 30, 30)
            delays = DT * rng.integers(1, 9, len(weights.values))
            sw.Connection(cells.neurons, post.neurons, 0.005, weights, delay=delays)
            counts = sw.Probe(cells.neurons, "spike_count"), sw.Probe(other.neurons)
        del counts
        expected = run(net, ReferenceEngine())
        assert expected[0][:, :9].max() < 127 < expected[0].max()
        assert_same(run(net, NativeEngine(threads=1)), expected)


@pytest.mark.parametrize("repeats", [1, 3, 100, 200])
def test_sums_beyond_32_bits_are_exact(repeats: int) -> None:
    """Counts of 100 times entries of 25 bits, each of them there many times."""
    rng = np.random.default_rng(repeats)
    rows, columns = (
        np.repeat(rng.integers(0, 7, 60), repeats),
        np.repeat(rng.integers(0, 50, 60), repeats),
    )
    values = np.repeat(1.0 - rng.integers(1, 2**20, 60) / 2.0**24, repeats)
    with sw.Network() as net:
        kind = sw.IntegrateAndFire()
        cells = sw.Ensemble(
            50, None, neuron_type=kind, gain=np.ones(50), bias=rng.uniform(0, 1e5, 50)
        )
        sw.Connection(
            cells.neurons, end := sw.Node(size_in=7), None, Sparse(rows, columns, values, (7,), 50)
        )
        sums, counts = sw.Probe(end), sw.Probe(cells.neurons)
    del sums, counts
    found, expected = run(net, NativeEngine(threads=1)), run(net, ReferenceEngine())
    assert np.abs(expected[1]).max() >= 90 / DT
    assert np.abs(expected[0]).max() * DT > 128 * min(repeats, 2)
    assert_same(found, expected)


def test_spikes_meet_sparse_weights_before_a_filter() -> None:
    """Also where there are more receivers than senders: a filter's output is never zero."""
    rng = np.random.default_rng(0)
    with sw.Network() as net:
        cells = sw.Ensemble(20, None, neuron_type=sw.LIF(), gain=np.ones(20), bias=np.full(20, 1.5))
        sw.Connection(cells.neurons, sw.Node(size_in=90), 0.01, entries(rng, "any", 90, 20))
        sw.Connection(cells.neurons, sw.Node(size_in=90), 0.01, rng.normal(0, 1, (90, 20)))
    with Simulator(net, DT, engine="native", progress=False) as sim:
        kinds = [type(op) for op in sim.program.operators if isinstance(op, Linear | Filter)]
        kernels = [row.kernel for row in sim.plan]
    assert kinds.count(Filter) == 2
    filters = [op for op in sim.program.operators if isinstance(op, Filter)]
    assert [sim.program.shapes[op.output] for op in filters] == [(90,), (20,)]
    assert "native: Sparse of events, lists by sender, 32-bit weights" in kernels


def test_values_are_added_in_the_order_of_their_columns() -> None:
    """Whatever the order of the entries; so results do not depend on it, and engines agree."""
    rng = np.random.default_rng(3)
    places = rng.choice(30 * 40, 500, replace=False)
    values, drive = rng.normal(0, 1, 500), rng.normal(0, 1, 40)
    results = []
    for order in (np.arange(500), rng.permutation(500)):
        rows, columns = np.divmod(places[order], 40)
        with sw.Network() as net:
            transform = Sparse(rows, columns, values[order], (30,), 40)
            sw.Connection(sw.Node(drive), end := sw.Node(size_in=30), 0.01, transform)
            sw.Probe(end)
        results += [run(net, NativeEngine(threads=1))[0], run(net, ReferenceEngine())[0]]
    for found in results[1:]:
        np.testing.assert_array_equal(found, results[0])


def test_memory_of_lists_is_known_before_they_are_made() -> None:
    """In bytes a form: 2 an entry and its weight's."""
    rng = np.random.default_rng(0)
    sizes = {}
    for form in FORMS:
        with sw.Network() as net:
            cells = sw.Ensemble(300, None, neuron_type=sw.LIF(), label="cells")
            transform = entries(rng, form, 300, 300)
            sw.Connection(cells.neurons, cells.neurons, 0.005, transform, label="lists")
        with Simulator(net, DT, engine="native", progress=False) as sim:
            parts = sim.memory(10)
        (size,) = (p.bytes for p in parts if "lists" in p.of and p.of.startswith("<Connection"))
        sizes[form] = (size - 8 * 300) / len(transform.values)
    assert sizes["one weight"] < 2.5 and 3 < sizes["few bits"] < 3.5
    assert 4 < sizes["some bits"] < 4.5 and 6 < sizes["any"] < 6.5


def test_memory_of_delayed_lists_is_known_before_they_are_made() -> None:
    """8 bytes an entry, and what waits: a number for each receiver and coming step."""
    rng = np.random.default_rng(0)
    transform = entries(rng, "few bits", 300, 300)

    def needed(longest: int) -> tuple[int, int]:
        with sw.Network() as net:
            cells = sw.Ensemble(300, None, neuron_type=sw.LIF(), label="cells")
            delays = DT * rng.integers(1, 8, len(transform.values))
            delays[0] = DT * longest
            link = sw.Connection(cells.neurons, cells.neurons, 0.005, transform, delay=delays)
        with Simulator(net, DT, engine="native", progress=False) as sim:
            memory = sim.memory(10)
        return sum(part.bytes for part in memory if part.of == repr(link)), memory.bytes

    assert 8 <= needed(7)[0] / len(transform.values) < 9
    assert needed(2001)[1] - needed(1001)[1] >= 8 * 300 * 1000
