"""Synapses: discretisation, impulse responses, the lag of one step, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from conformance import oracle
from spikewright.errors import NetworkError
from spikewright.network.synapses import (
    SYNAPSES,
    DiscreteFilter,
    Synapse,
    WindowMean,
    as_synapse,
)
from spikewright.testing.modelling import SynapseExample, synapse_examples

DT = 0.001
GOLDEN: list[tuple[Synapse, list[float]]] = [
    (sw.Lowpass(0.01), [0.09516258, 0.08610666, 0.07791253, 0.07049817]),
    (
        sw.Alpha(0.01),
        [0.00467884, 0.01284426, 0.01941322, 0.02461562, 0.02865207, 0.03169737],
    ),
    (sw.LinearFilter((1,), (0.01, 1), method="euler"), [0.1, 0.09, 0.081]),
    (
        sw.LinearFilter((1,), (0.01, 1), method="bilinear"),
        [0.04761905, 0.09070295, 0.08206457],
    ),
    (
        sw.LinearFilter((1,), (0.01, 1), method="backward_diff"),
        [0.09090909, 0.08264463, 0.07513148],
    ),
    (sw.Triangle(0.003), [0.4, 0.3, 0.2, 0.1, 0.0, 0.0]),
]


def response(discrete: DiscreteFilter, steps: int) -> NDArray:
    """Impulse response without the lag of a connection or probe."""
    impulse = np.zeros((steps + 1, 1))
    impulse[0] = 1.0
    return oracle.filtered(discrete, impulse)[1:, 0]


@pytest.mark.parametrize(("synapse", "golden"), GOLDEN, ids=lambda v: repr(v))
def test_impulse_responses_are_golden_and_lag_by_one_step(
    synapse: Synapse, golden: list[float]
) -> None:
    """The filter answers in the step of the impulse; on a connection or a probe one step later."""
    np.testing.assert_allclose(response(synapse.discretise(DT), len(golden)), golden, atol=1e-8)
    with sw.Network() as net:
        source, end = sw.Node([0.0]), sw.Node(size_in=1)
        sw.Connection(source, end, synapse)
        probes = [sw.Probe(end), sw.Probe(source, synapse=synapse)]
    with sw.Simulator(net, dt=DT, engine="reference", precision="float64") as sim:
        sim.run_steps(1, {source: [1.0]})
        sim.run_steps(len(golden))
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe][:, 0], [0.0, *golden], atol=1e-8)


@settings(max_examples=30)
@given(tau=st.floats(1e-4, 10.0), dt=st.floats(1e-5, 0.1))
def test_exact_discretisations_are_the_closed_forms(tau: float, dt: float) -> None:
    """Step responses of `Lowpass` and `Alpha` are those of continuous time, sampled."""
    t = dt * np.arange(1, 31)
    lowpass, alpha = 1 - np.exp(-t / tau), 1 - (1 + t / tau) * np.exp(-t / tau)
    steps = np.ones((31, 1))
    for synapse, expected in (
        (sw.Lowpass(tau), lowpass),
        (sw.LinearFilter((1.0,), (tau, 1.0)), lowpass),
        (sw.Alpha(tau), alpha),
    ):
        found = oracle.filtered(synapse.discretise(dt), steps)[1:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-8)


@settings(max_examples=30)
@given(
    num=st.lists(st.floats(-3.0, 3.0).map(lambda v: round(v, 6)), min_size=1, max_size=3),
    den=st.lists(st.floats(0.2, 3.0), min_size=3, max_size=4),
)
def test_discrete_coefficients_are_taken_as_they_are(num: list[float], den: list[float]) -> None:
    """With `analog=False` the filter is its difference equation, less the textbook's lag."""
    num[0] = num[0] or 1.0
    den[1:] = [d / (10.0 * den[0]) for d in den[1:]]
    u = np.random.default_rng(0).standard_normal(20)
    discrete = sw.LinearFilter(tuple(num), tuple(den), analog=False).discretise(DT)
    found = oracle.filtered(discrete, np.concatenate([u, [0.0]])[:, None])[1:, 0]
    lag = len(den) - len(num)  # a proper function of z answers that many steps late ...
    late = max(0, lag - 1)  # ... and where it answers late at all, one step is taken back
    expected = np.zeros(20)
    for t in range(20):
        past = sum(num[k] * u[t - late - k] for k in range(len(num)) if t - late - k >= 0)
        back = sum(den[k] * expected[t - k] for k in range(1, len(den)) if t - k >= 0)
        expected[t] = (past - back) / den[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["zoh", "bilinear", "euler", "backward_diff"])
def test_every_method_keeps_the_gain_at_rest(method: Any) -> None:
    """A constant passes with the gain `num(0) / den(0)`, whatever the method."""
    for num, den in (
        ((2.0,), (0.01, 1.0)),
        ((0.003, 3.0), (1e-4, 0.02, 2.0)),
        ((0.01, 1), (0.02, 4)),
    ):
        discrete = sw.LinearFilter(num, den, method=method).discretise(DT)
        found = oracle.filtered(discrete, np.ones((600, 1)))[-1, 0]
        np.testing.assert_allclose(found, num[-1] / den[-1], rtol=1e-6)


def test_methods_agree_as_the_step_shrinks() -> None:
    """All four discretise one system: their step responses meet for small steps."""
    den = (1e-4, 4e-3, 1.0)
    found = {}
    for method in ("zoh", "bilinear", "euler", "backward_diff"):
        discrete = sw.LinearFilter((1.0,), den, method=method).discretise(2e-5)
        found[method] = oracle.filtered(discrete, np.ones((1501, 1)))[1:, 0]
    for method in ("bilinear", "euler", "backward_diff"):
        assert np.abs(found[method] - found["zoh"]).max() < 0.01


def test_no_time_constant_passes_its_input_on_one_step_later() -> None:
    """`Lowpass(0)`, `Alpha(0)`, synapse 0 and a plain gain delay by one step and do no more."""
    values = np.array([3.0, -1.0, 4.0, 1.0, -5.0])[:, None]
    for synapse in (0, sw.Lowpass(0.0), sw.Alpha(0.0), sw.LinearFilter((1.0,), (1.0,))):
        with sw.Network() as net:
            source, end = sw.Node([0.0]), sw.Node(size_in=1)
            sw.Connection(source, end, synapse)
            probe = sw.Probe(end)
        with sw.Simulator(net, engine="reference") as sim:
            sim.run_steps(5, {source: values})
        assert sim.data[probe][:, 0].tolist() == [0.0, 3.0, -1.0, 4.0, 1.0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_filtered_connections_in_series_lag_a_step_each(count: int) -> None:
    """n filtered connections delay by n steps; unfiltered ones by none."""
    with sw.Network() as net:
        nodes = [sw.Node([1.0]), *(sw.Node(size_in=1) for _ in range(2 * count))]
        for i, (pre, post) in enumerate(pairwise(nodes)):
            sw.Connection(pre, post, 0 if i % 2 else None)
        probe = sw.Probe(nodes[-1])
    with sw.Simulator(net, engine="reference") as sim:
        sim.run_steps(count + 2)
    assert sim.data[probe][:, 0].tolist() == [0.0] * count + [1.0, 1.0]


def test_the_filter_goes_to_the_smaller_side_without_changing_the_result() -> None:
    """Maps and filters commute: wide to narrow and narrow to wide both filter what is narrow."""
    rng = np.random.default_rng(1)
    values = rng.integers(-8, 9, (12, 3)) / 8.0
    matrix = rng.integers(-8, 9, (7, 3)) / 8.0
    with sw.Network() as net:
        narrow, wide, back = sw.Node(np.zeros(3)), sw.Node(size_in=7), sw.Node(size_in=3)
        sw.Connection(narrow, wide, sw.Alpha(0.003), matrix)
        sw.Connection(wide, back, sw.Alpha(0.003), matrix.T)
        probes = sw.Probe(wide), sw.Probe(back)
    with sw.Simulator(net, engine="reference", precision="float64") as sim:
        sim.run_steps(12, {narrow: values})
    filters = [op for op in sim.program.operators if type(op).__name__ == "Filter"]
    assert [sim.program.shapes[op.output] for op in filters] == [(3,), (3,)]
    discrete = sw.Alpha(0.003).discretise(0.001)
    first = oracle.filtered(discrete, values) @ matrix.T
    second = oracle.filtered(discrete, first @ matrix)
    np.testing.assert_allclose(sim.data[probes[0]], first, atol=1e-12)
    np.testing.assert_allclose(sim.data[probes[1]], second, atol=1e-12)


# Constructors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.Lowpass(-0.1), r"Lowpass.tau must be 0 s or more, got -0.1"),
        (lambda: sw.Lowpass(np.nan), r"Lowpass.tau .* nan"),
        (lambda: sw.Alpha(np.inf), r"Alpha.tau .* inf"),
        (lambda: sw.LinearFilter((1.0, 0.0), (1.0,)), r"\(1.0, 0.0\) / \(1.0,\) is not a causal"),
        (lambda: sw.LinearFilter((1.0,), (0.0, 0.0)), r"not a causal transfer function"),
        (lambda: sw.LinearFilter((np.nan,), (1.0,)), r"LinearFilter.num must be finite"),
        (lambda: sw.LinearFilter((1.0,), (1.0, np.inf)), r"LinearFilter.den must be finite"),
        (lambda: sw.LinearFilter((1.0,), (1.0,), method="foh"), r"method must be one of .* 'foh'"),
    ],
)
def test_impossible_synapses_are_refused(make: Any, message: str) -> None:
    """The error names the synapse, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


def test_leading_zeros_change_nothing() -> None:
    """`0 s + 1` is `1`."""
    plain = sw.LinearFilter((1.0,), (0.01, 1.0)).discretise(DT)
    padded = sw.LinearFilter((0.0, 0.0, 1.0), (0.0, 0.01, 1.0)).discretise(DT)
    np.testing.assert_array_equal(response(plain, 5), response(padded, 5))


RAMP = np.arange(4.0)
FILTERED = {  # of ones, of ones from rest at a half, and a ramp forwards and backwards, at 1 ms
    sw.Lowpass(0.01): (
        [0.09516258, 0.18126925, 0.25918178, 0.32967995],
        [0.54758129, 0.59063462, 0.62959089, 0.66483998],
        [0.42652396, 0.47138187, 0.5109492, 0.53561361],
    ),
    sw.Alpha(0.01): (
        [0.00467884, 0.0175231, 0.03693631, 0.06155194],
        [0.50233942, 0.50876155, 0.51846816, 0.53077597],
        [0.1852014, 0.16430351, 0.13698644, 0.10225152],
    ),
    sw.LinearFilter((1.0, 2.0), (0.1, 1.0)): (
        [10.0, 9.92039867, 9.84158939, 9.76356427],
        [8.0, 7.940299, 7.88119204, 7.8226732],
        [-5.14853391, 95.60373583, 196.36516603, 297.14543289],
    ),
    sw.Triangle(0.003): ([0.4, 0.7, 0.9, 1.0], [0.7, 0.85, 0.95, 1.0], [0.54, 1.19, 1.84, 2.2]),
}


@pytest.mark.parametrize("synapse", FILTERED, ids=repr)
def test_signals_are_filtered_by_hand(synapse: Synapse) -> None:
    """Numbers measured on Nengo 4.1: without delay, from rest, forwards and backwards."""
    ones, rested, both = FILTERED[synapse]
    np.testing.assert_allclose(synapse.filt(np.ones(4)), ones, atol=1e-7)
    np.testing.assert_allclose(synapse.filt(np.ones(4), y0=0.5), rested, atol=1e-7)
    np.testing.assert_allclose(synapse.filtfilt(RAMP), both, rtol=1e-7)
    np.testing.assert_array_equal(synapse.filt(RAMP, filtfilt=True), synapse.filtfilt(RAMP))


@pytest.mark.parametrize("example", synapse_examples(), ids=lambda e: e.id)
def test_filtering_by_hand_is_what_a_connection_does(example: SynapseExample) -> None:
    """One step earlier, along any axis; every synapse but means over windows, which say so."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 30, 3))
    if isinstance(example.synapse, WindowMean):
        with pytest.raises(NetworkError, match="no filter with constant coefficients"):
            example.synapse.filt(x)
        return
    found = example.synapse.filt(x, dt=DT, axis=1)
    with sw.Network() as net:
        source, end = sw.Node(np.zeros(3)), sw.Node(size_in=3)
        sw.Connection(source, end, example.synapse)
        probe = sw.Probe(end)
    with sw.Simulator(net, DT, batch_size=2, engine="reference", precision="float64") as sim:
        sim.run_steps(30, {source: x})
    np.testing.assert_allclose(sim.data[probe][:, 1:], found[:, :-1], rtol=1e-9, atol=1e-9)


def test_a_filter_at_rest_stays_there() -> None:
    """Whatever its order; one that cannot rest there says so."""
    for synapse in (sw.Lowpass(0.02), sw.Alpha(0.02), sw.LinearFilter((3.0,), (1e-4, 0.01, 2.0))):
        gain = 1.5 if isinstance(synapse, sw.LinearFilter) else 1.0
        held = synapse.filt(np.full((50, 2), 4.0 / gain), y0=4.0)
        np.testing.assert_allclose(held, 4.0, rtol=1e-9)
    for synapse in (
        sw.LinearFilter((1.0,), (1.0, 0.0)),
        sw.LinearFilter((1.0, -1.0), (1.0, 0.5), analog=False),
    ):
        assert synapse.filt(np.ones(3)).any()
        with pytest.raises(NetworkError, match=r"no constant input keeps .* y0 = 0.5; use y0=0"):
            synapse.filt(np.ones(3), y0=0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.filt([1.0, np.nan]), "signal .* must be finite numbers"),
        (lambda s: s.filt(3.0), "is none of a signal of shape"),
        (lambda s: s.filt([1.0], axis=1), "axis 1 is none of a signal of shape"),
        (lambda s: s.filt([1.0], dt=0.0), "dt must be above 0 s"),
        (lambda s: s.filt([1.0], y0=np.inf), "y0 must be a finite number"),
    ],
)
def test_signals_that_cannot_be_filtered_are_refused(call: Any, message: str) -> None:
    """The error says what was given."""
    with pytest.raises(NetworkError, match=message):
        call(sw.Lowpass(0.01))


def test_what_serves_as_a_synapse() -> None:
    """None, a synapse, or seconds, one or several, which means `Lowpass`; else it is refused."""
    assert as_synapse(None, "here") is None
    assert as_synapse(np.float32(0.5), "here") == sw.Lowpass(0.5)
    assert as_synapse(0, "here") == sw.Lowpass(0.0)
    alpha = sw.Alpha(0.01)
    assert as_synapse(alpha, "here") is alpha
    assert as_synapse([0.1], "here") == sw.Lowpass(np.array([0.1]))
    for wrong in ("0.1", True, {0.1}):
        with pytest.raises(NetworkError, match="here: a synapse is None, a time constant"):
            as_synapse(wrong, "here")
    assert set(SYNAPSES) == {"Lowpass", "Alpha", "LinearFilter", "Triangle", "WindowMean"}
