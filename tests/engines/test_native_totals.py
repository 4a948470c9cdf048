"""Totals of the native engine: a last run tells them, in the type in which they are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from engines.random_networks import DT, random_network
from spikewright.engines import Engine, Execution, Program, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.totals import total_type
from spikewright.network.transforms import Convolution

if "native" not in sw.engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native.engine import NativeEngine
from spikewright.engines.native.region_kernel import RegionKernel

seeds = st.integers(0, 2**32 - 1)
CAPPED = sw.BipolarIntegrateAndFire(max_spikes_per_step=2)


def _told(
    engine: Engine,
    program: Program,
    populations: list[sw.Ensemble],
    fed: dict[sw.Node, NDArray],
    runs: list[int],
    **cut: int,
) -> list[NDArray]:
    """Totals behind runs of so many steps, the last of which is known to be that."""
    (values,) = fed.values()
    execution = Execution(program, engine, len(values), populations, **cut)
    for number, steps in enumerate(runs, 1):
        given = {node: v if v.shape[1] == 1 else v[:, :steps] for node, v in fed.items()}
        execution.run(steps, given, last=number == len(runs))
    sums = [execution.summed()[p] for p in populations]
    return [array for totals in sums for array in (totals.sent, totals.net)]


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 3), st.integers(1, 9))
def test_a_last_run_tells_the_references_totals(seed: int, threads: int, block: int) -> None:
    """Whatever the shapes, orders and groups; also where counts leave a byte in some samples."""
    net = random_network(np.random.default_rng(seed))
    program, fed = net.program(), {net.stimulus: net.fed}
    for runs in ([net.steps], [1, net.steps]):
        asked = (program, net.populations, fed, runs)
        found = _told(NativeEngine(threads), *asked, block=block)
        for a, b in zip(found, _told(ReferenceEngine(), *asked), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("channels", "last", "groups"), in_turn(2 * [6, 16, 40], [False, True], [1, 2])
)
def test_totals_come_in_the_programs_order(channels: int, last: bool, groups: int) -> None:
    """Convolutions store channels last, groups one after the other; totals are as the layer is.

    They come in the type in which they are kept, so that nothing is converted.
    """
    rng = np.random.default_rng(channels + groups)
    shape = (7, 5, channels) if last else (channels, 7, 5)
    kernel = rng.normal(size=(channels, channels // groups, 3, 3))
    layer = Convolution(kernel, padding=((1, 1), (1, 1)), groups=groups, channels_last=last)
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(shape))
        a, b = (sw.Ensemble(shape, None, neuron_type=CAPPED) for _ in range(2))
        sw.Connection(stimulus, a.neurons, None)
        sw.Connection(a.neurons, b.neurons, None, transform=layer)
    program = compile_network(net, DT, 0, "float32")
    fed = {stimulus: rng.normal(0.3, 3.0, (20, 1, *shape))}
    for runs in ([9], [3, 6], [70]):
        found, expected = (
            _told(engine, program, [a, b], fed, runs)
            for engine in (NativeEngine(1), ReferenceEngine())
        )
        assert_same(found, expected)
        assert len(np.unique(found[2])) > 5
        assert np.any(found[2] != found[3])  # some spikes were taken back
    execution = Execution(program, NativeEngine(1), 20, [a, b])
    execution.run(9, fed, last=True)
    (kernel,) = (k for k in execution._chunks[0].kernels.values() if isinstance(k, RegionKernel))
    kinds = {array.dtype for sums in kernel.totals() for array in sums}
    assert kinds == {total_type(a, 9)} == {np.dtype(np.int8)}


@pytest.mark.parametrize("first", [1, 20, 39])
def test_totals_of_samples_that_leave_a_byte_in_the_last_block(first: int) -> None:
    """Samples that a last run brings through tell theirs; others go on from what they had."""
    rng = np.random.default_rng(first)
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(20))
        kind = sw.IntegrateAndFire()
        a, b = (sw.Ensemble(20, neuron_type=kind, gain=1.0, bias=0.0) for _ in range(2))
        sw.Connection(stimulus, a.neurons, None)
        sw.Connection(a.neurons, b.neurons, None, transform=rng.normal(0.0, 0.3, (20, 20)))
    program = compile_network(net, DT, 0, "float32")
    values = rng.uniform(0.5, 3.0, (40, 1, 20)) / DT
    late = rng.permutation(40)[:5]
    values = np.repeat(values, 40, axis=1)
    values[late, first:] *= 200.0  # in the last block, if that begins there
    fed = {stimulus: values}
    found, expected = (
        _told(engine, program, [a, b], fed, [40], block=first)
        for engine in (NativeEngine(2), ReferenceEngine())
    )
    assert_same(found, expected)
    assert found[0][late].max() - found[0].mean() > 127  # in one step
