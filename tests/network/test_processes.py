"""Processes: their laws, their state, their seeds, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import processes as p
from spikewright.errors import NetworkError


class Counting(p.Process):
    """A user's own: how often it was called, times its input."""

    default_size_in = 2
    default_size_out = 2

    def make_state(self, shape_in: Any, shape_out: Any, dt: float) -> dict[str, NDArray]:
        return {"calls": np.zeros(shape_out)}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        def step(t: float, x: NDArray) -> NDArray:
            state["calls"] += 1
            return state["calls"] * x

        return step


def run(net: sw.Network, probe: sw.Probe, steps: int, **options: Any) -> NDArray:
    """What a probe records, on the reference engine."""
    with sw.Simulator(net, **{"engine": "reference", "progress": False, **options}) as sim:
        sim.run_steps(steps)
    return sim.data[probe]


def test_white_noise_has_the_power_of_its_distribution() -> None:
    """Variance 1 / dt with scale, 1 without; draws are independent from step to step."""
    for dt in (0.001, 0.01):
        values = p.WhiteNoise().run_steps(20_000, 1, dt)
        assert values.var() == pytest.approx(1 / dt, rel=0.05)
        assert abs(np.mean(values[1:] * values[:-1]) * dt) < 0.03
    assert p.WhiteNoise(scale=False).run_steps(20_000).var() == pytest.approx(1.0, rel=0.05)


def test_each_step_gives_its_value_and_then_nothing() -> None:
    """Counted in steps of any length, broadcast to the shape; anew at every beginning."""
    values = np.random.default_rng(0).normal(size=(3, 2, 1))
    process = p.EachStep(values)
    for dt in (0.001, 0.3):
        found = process.run_steps(5, (2, 4), dt)
        assert np.array_equal(found[:3], np.broadcast_to(values, (3, 2, 4)))
        assert not found[3:].any()
    for wrong in ([], 1.0, [[np.nan]], "many"):
        with pytest.raises(NetworkError, match=r"EachStep\.values must be finite numbers"):
            p.EachStep(wrong)
    with pytest.raises(NetworkError, match=r"shape \(2, 1\) a step.* broadcast to \(1, 2\)"):
        process.run_steps(1, (1, 2))


def test_white_signals_are_band_limited_and_periodic() -> None:
    """No power above `high`, the given rms, again after a period."""
    signal = p.WhiteSignal(period=1.0, high=10, rms=0.3).run_steps(2000, 3, 0.001)
    assert np.allclose(signal[:1000], signal[1000:])
    assert np.allclose(np.sqrt(np.mean(signal**2, axis=0)), 0.3)
    power = np.abs(np.fft.rfft(signal[:1000], axis=0))
    assert np.all(power[11:] < 1e-9) and np.all(power[1:11] > 1e-6) and np.all(power[0] < 1e-9)


@pytest.mark.parametrize("mean", [0.02, 0.5, 20.0])
@pytest.mark.parametrize("rates", ["one", "groups", "each"])
def test_poisson_spikes_have_the_law_of_poisson(mean: float, rates: str) -> None:
    """Counts of mean and variance `rate dt`, independent of each other and from step to step."""
    dt, n = 0.002, 40
    each = {"one": np.ones(n), "groups": np.repeat([0.5, 1.5], n // 2), "each": None}[rates]
    each = np.linspace(0.5, 1.5, n) if each is None else each
    given: Any = mean / dt * (1.0 if rates == "one" else each)
    values = p.PoissonSpikes(given, amplitude=0.5).run_steps(4000, n, dt)
    counts = values * dt / 0.5
    assert np.array_equal(counts, np.round(counts)) and counts.min() >= 0
    np.testing.assert_allclose(counts.mean(axis=0) / each, mean, atol=6 * np.sqrt(mean / 2000))
    assert np.mean(counts.var(axis=0) / each) == pytest.approx(mean, rel=0.05)
    together = np.corrcoef(counts.T)[np.triu_indices(n, 1)]
    assert np.abs(together).max() < 0.12 and abs(together.mean()) < 0.01
    later = np.mean((counts[1:] - mean * each) * (counts[:-1] - mean * each))
    assert abs(later) < 0.01 * mean


def test_inputs_are_presented_in_turn() -> None:
    """Each for its time, from the first step on, whatever floats do to times."""
    inputs = np.arange(6.0).reshape(3, 2)
    for dt, time in ((0.001, 0.003), (0.1, 0.3)):
        values = p.PresentInput(inputs, time).run_steps(12, dt=dt)
        assert values[:, 0].tolist() == [0, 0, 0, 2, 2, 2, 4, 4, 4, 0, 0, 0]


# In networks


@pytest.mark.parametrize("engine", ["reference", "native", "torch"])
def test_a_process_runs_on_from_run_to_run(engine: str) -> None:
    """Its state and draws do not depend on how a run is cut; a reset starts them again."""
    with sw.Network(seed=1) as net:
        node = sw.Node(p.FilteredNoise(), size_out=3)
        probe = sw.Probe(node)
    with sw.Simulator(net, engine=engine, precision="float64", progress=False) as sim:
        for steps in (1, 7, 12):
            sim.run_steps(steps)
        cut = sim.data[probe].copy()
        sim.reset()
        sim.run_steps(20)
        assert np.array_equal(sim.data[probe], cut)
    assert len(np.unique(cut)) == 60


def test_every_sample_of_a_batch_sees_the_same_draws_and_its_own_input() -> None:
    """A process with an input has a state for every sample."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node([0.0, 0.0])
        own = sw.Node(Counting())
        noise = sw.Node(p.WhiteNoise())
        sw.Connection(stimulus, own, None)
        counted, drawn = sw.Probe(own), sw.Probe(noise)
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    with sw.Simulator(net, engine="reference", batch_size=2, progress=False) as sim:
        sim.run_steps(2, {stimulus: x})
        sim.run_steps(1, {stimulus: x})
    assert np.array_equal(sim.data[counted], np.stack([x, 2 * x, 3 * x], axis=1))
    assert np.array_equal(sim.data[drawn][0], sim.data[drawn][1])


def test_seeds_decide_the_draws() -> None:
    """Two nodes draw differently; the same network and seed draw the same, another seed others."""
    with sw.Network() as net:
        both = sw.Node(size_in=2)
        for i in range(2):
            sw.Connection(sw.Node(p.WhiteNoise()), both[i], None)
        probe = sw.Probe(both)
    first, again, other = (run(net, probe, 5, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.any(first == other)
    assert not np.any(first[:, 0] == first[:, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: p.WhiteNoise(dist=3), r"WhiteNoise.dist must be a distribution, got 3"),
        (lambda: p.FilteredNoise(synapse=0.1), r"FilteredNoise.synapse must be a synapse"),
        (lambda: p.WhiteSignal(0.0, 10), r"WhiteSignal.period must be above 0, got 0.0"),
        (lambda: p.WhiteSignal(0.5, 1.0), r"high must be at least 1 / period = 2 Hz"),
        (lambda: p.WhiteSignal(1.0, 600).run_steps(1), r"half the steps' frequency, 500 Hz"),
        (
            lambda: p.PoissonSpikes([1.0, -2.0]),
            r"PoissonSpikes.rates must be finite numbers from 0",
        ),
        (lambda: p.PoissonSpikes("many"), r"rates must be .*, got 'many'"),
        (lambda: p.PoissonSpikes(5.0, 0.0), r"PoissonSpikes.amplitude must be above 0, got 0.0"),
        (lambda: p.PresentInput([], 1.0), r"PresentInput.inputs must be"),
        (lambda: p.PresentInput([[1.0]], 0.0), r"presentation_time must be above 0 s"),
        (lambda: p.Piecewise({}), r"Piecewise: data are \{seconds: value\}"),
        (lambda: p.Piecewise({"a": 1}), r"Piecewise: data are"),
        (lambda: p.Piecewise({0: 1, 1: [1, 2]}), r"pieces have different sizes, \[1, 2\]"),
        (lambda: p.Piecewise({0: np.nan}), r"the value at 0 s is not of finite numbers"),
        (lambda: p.Piecewise({0: 1}, "wavy"), r"interpolation must be one of .* got 'wavy'"),
        (lambda: p.Piecewise({0: np.sin, 1: 1}, "linear"), r"'linear' needs values"),
    ],
)
def test_impossible_processes_are_refused(make: Any, message: str) -> None:
    """The error names the process, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


SIZED = {
    "PresentInput": p.PresentInput([[1.0, 2.0]], 0.1),
    "PoissonSpikes": p.PoissonSpikes([1.0, 2.0]),
    "Piecewise": p.Piecewise({0: [1.0, 2.0]}),
    "EachStep": p.EachStep([[1.0, 2.0]]),
    "Piecewise linear": p.Piecewise({0: [1.0, 2.0], 1: [2.0, 3.0]}, "linear"),
}
UNSIZED = {
    "WhiteNoise": p.WhiteNoise(),
    "FilteredNoise": p.FilteredNoise(),
    "BrownNoise": p.BrownNoise(),
    "WhiteSignal": p.WhiteSignal(0.1, 50.0),
}


def test_a_process_runs_by_itself() -> None:
    """For seconds or steps, of so many values, at another step; inputs go through it."""
    signal = p.WhiteSignal(0.1, 50.0, seed=3)
    assert signal.run(0.005).shape == (5, 1)
    np.testing.assert_array_equal(signal.run(0.05, d=2, dt=0.01), signal.run_steps(5, 2, 0.01))
    np.testing.assert_array_equal(signal.run_steps(9), signal.run_steps(9, rng=3))
    other = signal.run_steps(9, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(other, signal.run_steps(9, rng=4))
    assert not np.any(other == signal.run_steps(9))
    x = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_array_equal(Counting().apply(x), x * np.arange(1, 5)[:, None])


@pytest.mark.parametrize("name", UNSIZED)
def test_a_seed_of_its_own_decides(name: str) -> None:
    """The same numbers in every node and simulator, as noise, from a file, and by itself."""
    kind, given = type(UNSIZED[name]), (0.1, 50.0) if name == "WhiteSignal" else ()
    process = kind(*given, seed=5)  # type: ignore[arg-type]
    alone = process.run_steps(6, d=2)
    with sw.Network(seed=0) as net:
        nodes = [sw.Node(process, size_out=2), sw.Node(kind(*given, seed=5), size_out=2)]  # type: ignore[arg-type]
        other = sw.Node(kind(*given, seed=6), size_out=2)  # type: ignore[arg-type]
        noisy = sw.Ensemble(
            2, None, neuron_type=sw.RectifiedLinear(), gain=1.0, bias=0.0, noise=process
        )
        probes = [sw.Probe(node) for node in (*nodes, other)]
        current = sw.Probe(noisy.neurons, "input")
    for seed in (0, 1):
        with sw.Simulator(net, seed=seed, precision="float64", progress=False) as sim:
            sim.run_steps(6)
        for probe in (*probes[:2], current):
            np.testing.assert_array_equal(sim.data[probe], alone)
        assert not np.any(sim.data[probes[2]] == alone)
