"""The last block of a run: counts of neurons that follow means, from bounds where they are certain.

How many groups of neurons were certain, and how many were followed stepwise, the kernels tell.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from spikewright import engines
from spikewright.engines import Execution, Program, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import (
    ClippedReLU,
    Elementwise,
    LeakyReLU,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    SignedIntegrateAndFire,
)
from spikewright.network.transforms import Convolution, Dense, Transform

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from test_native_coverage import DT, behind
from test_native_means import SENDERS, layers

from slowly import in_turn
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.region_kernel import RegionKernel

CLIPPED = RunningMeanSpiking(ClippedReLU(2.0))
KINDS: dict[str, NeuronType] = {
    "clipped": CLIPPED,
    "capped": RunningMeanSpiking(ClippedReLU(2.0), max_spikes_per_step=2),
    "rectified": RunningMeanSpiking(RectifiedLinear()),
}


def network(
    sender: NeuronType, kind: NeuronType, transform: Transform, shape: tuple[int, ...], scale: float
) -> tuple[Program, sw.Node, list[sw.Ensemble]]:
    """Neurons of a kind behind a transform of a signal that changes from step to step."""
    net, stimulus, populations = behind(sender, transform, shape, scale=2.0)
    with net:
        last = sw.Ensemble(
            transform.output_shape(shape), neuron_type=kind, gain=1.5, bias=0.1, rate_scale=scale
        )
        sw.Connection(populations[1].neurons, last.neurons, None, transform)
        sw.Probe(last.neurons)
    return compile_network(net, DT, 0, "float32"), stimulus, [*populations, last]


def told(
    engine: engines.Engine,
    made: tuple[Program, sw.Node, list[sw.Ensemble]],
    fed: NDArray,
    runs: list[int],
    block: int | None = None,
) -> tuple[list[NDArray], NDArray]:
    """Recordings and totals, the last run the last; groups that were certain, and stepwise."""
    program, stimulus, populations = made
    execution = Execution(program, engine, len(fed), populations, block=block)
    arrays = [
        array
        for number, steps in enumerate(runs, 1)
        for array in execution.run(steps, {stimulus: fed}, last=number == len(runs))
    ]
    totals = [execution.summed()[p] for p in populations]
    kernels = [k for chunk in execution._chunks for k in chunk.kernels.values()]
    rows = [row[1:] for k in kernels if isinstance(k, RegionKernel) for row in k._state.followed()]
    followed = np.sum(rows, axis=0, dtype=int) if rows else np.zeros(2, int)
    return [*arrays, *(array for one in totals for array in (one.sent, one.net))], followed


def assert_alike(
    made: tuple[Program, sw.Node, list[sw.Ensemble]],
    fed: NDArray,
    runs: list[int],
    block: int | None = None,
) -> NDArray:
    """Every instruction set gives the reference's numbers; the groups of neurons of all of them."""
    expected, _ = told(ReferenceEngine(), made, fed, runs)
    groups = np.zeros(2, int)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads in (1, 3):
                found, followed = told(NativeEngine(threads), made, fed, runs, block)
                assert_same(found, expected)
                groups += followed
    return groups


@pytest.mark.parametrize(("sender", "kind"), in_turn(SENDERS, KINDS))
def test_counts_of_the_end_are_the_references(kind: str, sender: str) -> None:
    """Behind every kind of signal, in one run or after others; nearly all counts are certain."""
    rng = np.random.default_rng(1)
    groups = np.zeros(2, int)
    for transform, shape in layers(3):
        scale = 2.0 if kind == "rectified" else 30.0  # so that counts are bytes
        made = network(SENDERS[sender], KINDS[kind], transform, shape, scale)
        fed = rng.normal(0.3, 1.0, (3, 1, *shape)) / DT
        assert_alike(made, fed, [7, 33])
        groups += assert_alike(made, fed, [20])
    certain, stepwise = groups
    assert certain > 50 * stepwise


@pytest.mark.parametrize("block", [None, 7])
def test_what_others_follow_is_kept(block: int | None) -> None:
    """Before the last block voltages are exact, step by step; so what comes then is, too."""
    rng = np.random.default_rng(2)
    transform, shape = Convolution(rng.normal(size=(40, 24, 1, 1))), (24, 5, 4)
    made = network(LeakyReLU(0.3), CLIPPED, transform, shape, 5.0)  # so that counts are bytes
    fed = rng.normal(0.3, 1.0, (2, 1, *shape)) / DT
    certain, stepwise = assert_alike(made, fed, [16, 3, 40], block)
    assert certain and stepwise


def behind_values(
    size: float, bias: NDArray, weights: NDArray
) -> tuple[Program, sw.Node, list[sw.Ensemble]]:
    """Neurons behind values of this size, a threshold of one."""
    out, channels = weights.shape
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(channels))
        spikes = sw.Ensemble(channels, neuron_type=SignedIntegrateAndFire(), gain=1.0, bias=0.0)
        values = sw.Ensemble(channels, neuron_type=LeakyReLU(0.3), gain=size, bias=0.0)
        cells = sw.Ensemble(out, neuron_type=CLIPPED, gain=1.0, bias=bias, initial_voltage="zero")
        sw.Connection(stimulus, spikes.neurons, None)
        sw.Connection(spikes.neurons, values.neurons, None)
        sw.Connection(values.neurons, cells.neurons, None, Dense(weights))
        sw.Probe(cells.neurons)
    return compile_network(net, 1.0, 0, "float32"), stimulus, [spikes, values, cells]


def test_sums_next_to_a_whole_number_are_taken_step_by_step() -> None:
    """A neuron that is a tolerance below a spike, exactly, and others a bit off."""
    spike = np.float32(1.0 - 2.0**-16)
    near = [spike, *(np.nextafter(spike, np.float32(to)) for to in (0.0, 2.0))]
    made = behind_values(1.0, np.array(near, np.float64).repeat(16), np.ones((48, 5)))
    fed = np.zeros((1, 9, 5))
    expected, _ = told(ReferenceEngine(), made, fed, [9])
    assert len(set(expected[0][0, 0])) == 2  # in the first step some spike, others do not
    certain, stepwise = assert_alike(made, fed, [9])
    assert stepwise and not certain


@pytest.mark.parametrize("bits", [16, 13])
def test_what_the_grid_leaves_of_weights_makes_spikes(bits: int) -> None:
    """Rounded sums leave it out: it is among their bounds, and added where it alone makes a spike.

    A weight far below the grid meets a large value, a neuron that is 2^-16 or 2^-13 below a spike.
    """
    weights = np.zeros((48, 6))
    weights[:, 0], weights[:, 1] = np.repeat([0.0, 1.5, -1.5], 16) * 2.0 ** -(bits + 18), 1.0
    near = 1.0 - 2.0**-16 - 2.0**-bits
    made = behind_values(2.0**18, np.full(48, near), weights)
    fed = np.ones((1, 16, 6))
    fed[..., 1], fed[..., 2] = 0.0, -1.0  # values of either sign are no multiples of a unit
    expected, _ = told(ReferenceEngine(), made, fed, [16])
    first = expected[0][0, 0]
    assert first[16:32].all() and not first[:16].any() and not first[32:].any()
    _, stepwise = assert_alike(made, fed, [16])
    assert stepwise


@pytest.mark.parametrize("bits", [0, 16, 22])
def test_rounded_sums_of_values_of_very_different_sizes(bits: int) -> None:
    """Beside large values, whose weights are zero, small ones decide: exactly, to what limbs leave.

    Most counts are certain, unless values are so large that bounds are wide: then some are not.
    """
    rng = np.random.default_rng(6)
    weights = rng.normal(size=(48, 40))
    weights[:, :4] = 0.0
    made = behind_values(1.0, np.full(48, 0.3), weights)
    fed = rng.normal(0.1, 5.0, (2, 20, 40))
    fed[..., :4] *= 2.0**bits
    certain, stepwise = assert_alike(made, fed, [20])
    assert certain > stepwise if bits == 0 else stepwise


@pytest.mark.parametrize("steps", [12, 150])
def test_values_of_any_size_in_runs_of_any_length(steps: int) -> None:
    """Sums of every size, and runs too long for bounds."""
    rng = np.random.default_rng(4)
    for size in (1e-300, 1.0, 1e6, 1e200):
        made = behind_values(size, np.full(48, 0.3), rng.normal(size=(48, 40)))
        fed = rng.normal(0.1, 5.0, (2, steps, 40))
        with np.errstate(all="ignore"):
            certain, stepwise = assert_alike(made, fed, [steps])
        assert certain if size <= 1.0 and steps < 128 else stepwise


def test_functions_that_are_no_clipped_line_are_followed_step_by_step() -> None:
    """Hard swishes and sigmoids have no bounds."""
    rng = np.random.default_rng(5)
    for name in ("hard_swish", "hard_sigmoid"):
        kind = RunningMeanSpiking(Elementwise.of(name))
        made = network(LeakyReLU(0.3), kind, Dense(rng.normal(size=(33, 21))), (21,), 20.0)
        certain, stepwise = assert_alike(made, rng.normal(0.3, 1.0, (2, 1, 21)) / DT, [16])
        assert stepwise and certain == 0


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 5, 24, 70]),
    out=st.sampled_from([1, 16, 37, 64]),
    scale=st.sampled_from([1.0, 7.3, 60.0, 900.0]),
    runs=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_any_layer(
    seed: int, channels: int, out: int, scale: float, runs: list[int], kind: str
) -> None:
    """Random values, some of them zero, windows and scales; counts up to some hundred a step."""
    rng = np.random.default_rng(seed)
    extent = 1 + int(rng.integers(3))
    transform = Convolution(rng.normal(size=(out, channels, extent, extent)))
    shape = (channels, 4, 3)
    made = network(LeakyReLU(0.3), KINDS[kind], transform, shape, scale)
    fed = rng.normal(0.2, 1.0, (2, 1, *shape)) / DT
    assert_alike(made, fed, runs)
