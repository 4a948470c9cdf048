"""Small operators of one kind run as one natively: the same numbers, and one kernel for many."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import Exceeding, assert_same
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.operators import Operator, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import NeuronType, RegularSpiking

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.groups import FusedOperator, groups
from spikewright.engines.native.regions import Region, plan_rows, with_regions

DT = 0.001
TYPES: dict[str, NeuronType] = {
    "rates": sw.RectifiedLinear(),
    "regular": RegularSpiking(sw.RectifiedLinear()),
    "signed": sw.SpikingLeakyReLU(),
    "integrators": sw.SpikingRectifiedLinear(),
}


def arrays(
    kind: NeuronType, loops: bool, dimensions: int = 1, sizes: tuple[int, ...] = (9, 30, 70, 300)
) -> tuple[sw.Network, sw.Node]:
    """Ensembles of several sizes side by side, twice, joined by parts of vectors; back or not."""
    n = len(sizes) * dimensions
    with sw.Network(seed=4) as net:
        stimulus = sw.Node(np.zeros(n))
        rows = [(sw.Node(size_in=n), sw.Node(size_in=n)) for _ in range(2)]
        for into, out in rows:
            for i, size in enumerate(sizes):
                part = slice(i * dimensions, (i + 1) * dimensions)
                ensemble = sw.Ensemble(size, dimensions, neuron_type=kind, n_eval_points=90)
                sw.Connection(into[part], ensemble, None)
                sw.Connection(ensemble, out[part], None if i % 2 else 0.005)
                sw.Connection(ensemble, out[part], 0.01, function=np.square, transform=0.5)
                if i == 0:
                    sw.Probe(ensemble.neurons)
        (first, middle), (last, end) = rows
        sw.Connection(stimulus, first, 0.002)
        sw.Connection(middle, last, 0.003, transform=0.8)
        if loops:
            sw.Connection(end, first, 0.005, transform=-0.5)
        sw.Probe(middle)
        sw.Probe(end, synapse=0.01)
    return net, stimulus


def run(
    engine: engines.Engine, net: sw.Network, stimulus: sw.Node, size: float = 1.0, **cut: int
) -> list[NDArray]:
    """Recordings of two runs, then the totals of every population."""
    program = compile_network(net, DT, 0, "float32")
    execution = Execution(program, engine, 3, net.all_ensembles, **cut)
    fed = size * np.random.default_rng(7).uniform(-1, 1, (3, 30, *stimulus.shape_out))
    parts = [execution.run(n, {stimulus: fed[:, at : at + n]}) for at, n in ((0, 17), (17, 13))]
    sums = [execution.summed()[p] for p in net.all_ensembles]
    arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
    return [*arrays, *(array for totals in sums for array in (totals.sent, totals.net))]


@pytest.mark.parametrize(
    ("kind", "loops", "dimensions"), in_turn(2 * [*TYPES], [False, True], [1, 3])
)
def test_ensembles_side_by_side_are_the_references(kind: str, loops: bool, dimensions: int) -> None:
    """Bit by bit, recordings and totals, on every instruction set, however the work is cut."""
    net, stimulus = arrays(TYPES[kind], loops, dimensions)
    expected = run(ReferenceEngine(), net, stimulus)
    assert all(x.any() for x in expected)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads, block in ((1, 1000), (2, 7), (5, 1000)):
                assert_same(run(NativeEngine(threads), net, stimulus, block=block), expected)


@pytest.mark.slow
def test_leaky_ensembles_agree_with_the_reference() -> None:
    """As far as two libraries' logarithms do: decoded values over a tenth of a second."""
    for kind in (
        sw.LIF(),
        sw.AdaptiveLIF(),
        sw.Izhikevich(),
        sw.SoftLIFRate(),
        sw.AdaptiveLIFRate(),
    ):
        net, stimulus = arrays(kind, True, sizes=(30, 70))
        for x, y in zip(
            run(NativeEngine(1), net, stimulus), run(ReferenceEngine(), net, stimulus), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * np.abs(y).max())


def _groups(net: sw.Network) -> list[list[FusedOperator]]:
    program = with_regions(compile_network(net, DT, 0, "float32"))
    largest = max(
        (op for op in program.operators if isinstance(op, Region)), key=lambda r: len(r.operators)
    )
    return [g for g in groups(Buffers(largest, program)) if not _renames(g[0].operator)]


def _renames(op: Operator) -> bool:
    """A sum of one term, which is that term."""
    return isinstance(op, ScaledSum) and len(op.inputs) == 1 and op.gain is None and op.bias is None


@pytest.mark.parametrize("loops", [False, True])
def test_as_many_kernels_for_many_ensembles_as_for_few(loops: bool) -> None:
    """Four times the ensembles, all of one size, are the same number of groups."""
    few, many = (_groups(arrays(sw.LIF(), loops, sizes=(20,) * n)[0]) for n in (6, 24))
    assert len(few) == len(many)
    assert max(map(len, many)) == 4 * max(map(len, few))
    assert sum(map(len, many)) > 3 * sum(map(len, few))


def test_what_differs_runs_apart() -> None:
    """Other neuron types, other filters, a recorded voltage: groups of their own."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(lambda t: np.sin(t))
        for kind, tau in ((sw.LIF(), 0.01), (sw.LIF(tau_rc=0.03), 0.01), (sw.LIF(), 0.02)):
            for _ in range(2):
                ensemble = sw.Ensemble(20, 1, neuron_type=kind)
                sw.Connection(stimulus, ensemble, None)
                sw.Probe(ensemble, synapse=tau)
        sw.Probe(ensemble.neurons, "voltage")
    sizes = sorted(
        len(group) for group in _groups(net) if type(group[0].operator).__name__ == "Neurons"
    )
    assert sizes == [1, 2, 3]
    filters = [len(g) for g in _groups(net) if type(g[0].operator).__name__ == "Filter"]
    assert sorted(filters) == [2, 4]


def test_counts_of_groups_outgrow_bytes(
    exceeding: Exceeding,
) -> None:
    """Each population's part of what they share is its own."""
    net, stimulus = arrays(TYPES["regular"], False)
    assert_same(
        run(NativeEngine(2), net, stimulus, 3000.0, block=5),
        run(ReferenceEngine(), net, stimulus, 3000.0),
    )
    assert exceeding()


@pytest.mark.parametrize(
    "kind", [
        "LIF", "GridLIF", "AdaptiveLIF", "AdaptiveLIFRate",
        pytest.param("Izhikevich", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_any_state_is_recorded(kind: str) -> None:
    """Voltage, refractory time, adaptation, recovery: the reference's, and natively so."""
    neuron_type = getattr(sw, kind)()
    names = neuron_type.state_names
    assert names
    with sw.Network(seed=1) as net:
        stimulus = sw.Node(np.zeros(2))
        ensemble = sw.Ensemble(300, 2, neuron_type=neuron_type, n_eval_points=90)
        sw.Connection(stimulus, ensemble, None)
        sw.Connection(ensemble, ensemble, 0.05)
        for name in names:
            sw.Probe(ensemble.neurons, name)
        sw.Probe(ensemble.neurons)
    program = compile_network(net, DT, 0, "float32")
    rows = zip(program.operators, plan_rows(program), strict=True)
    assert all(r.kernel == "native: population" for op, r in rows if isinstance(op, Neurons))
    found, wanted = (run(e, net, stimulus) for e in (NativeEngine(2), ReferenceEngine()))
    for x, y in zip(found, wanted, strict=True):
        assert y.any()
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * np.abs(y).max())
