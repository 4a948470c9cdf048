"""Processes: their laws, their state, their seeds, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import processes as p
from spikewright.engines.python_steps import pure
from spikewright.errors import BuildError, NetworkError, SimulationError


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


def test_filtered_noise_is_white_noise_filtered() -> None:
    """The same draws through the synapse, y_t = p y_(t-1) + (1 - p) u_t."""
    white, noise = p.WhiteNoise().run_steps(50, 2, 0.001), p.FilteredNoise(sw.Lowpass(0.01))
    y, keep = np.zeros(2), np.exp(-0.1)
    for u, found in zip(white, noise.run_steps(50, 2, 0.001), strict=True):
        y = keep * y + (1 - keep) * u
        assert np.allclose(found, y)


def test_brown_noise_has_a_variance_of_time() -> None:
    """It is the integral of white noise: after t seconds its variance is t."""
    values = p.BrownNoise().run_steps(1000, 4000, 0.001)
    assert values[-1].var() == pytest.approx(1.0, rel=0.1)
    assert values[249].var() == pytest.approx(0.25, rel=0.1)


def test_white_signals_are_band_limited_and_periodic() -> None:
    """No power above `high`, the given rms, again after a period."""
    signal = p.WhiteSignal(period=1.0, high=10, rms=0.3).run_steps(2000, 3, 0.001)
    assert np.allclose(signal[:1000], signal[1000:])
    assert np.allclose(np.sqrt(np.mean(signal**2, axis=0)), 0.3)
    power = np.abs(np.fft.rfft(signal[:1000], axis=0))
    assert np.all(power[11:] < 1e-9) and np.all(power[1:11] > 1e-6) and np.all(power[0] < 1e-9)


def test_white_signals_start_where_they_are_told() -> None:
    """At the sample nearest to `y0`, in every dimension."""
    signal = p.WhiteSignal(1.0, 20, y0=0.0).run_steps(1000, 4, 0.001)
    assert np.all(np.abs(signal[0]) <= np.abs(signal).min(axis=0) + 1e-12)


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


def test_poisson_spikes_of_rate_zero_are_none() -> None:
    """Alone, and among others."""
    assert not p.PoissonSpikes(0.0).run_steps(9, 3).any()
    values = p.PoissonSpikes([0.0, 900.0]).run_steps(50)
    assert not values[:, 0].any() and values[:, 1].any()


def test_inputs_are_presented_in_turn() -> None:
    """Each for its time, from the first step on, whatever floats do to times."""
    inputs = np.arange(6.0).reshape(3, 2)
    for dt, time in ((0.001, 0.003), (0.1, 0.3)):
        values = p.PresentInput(inputs, time).run_steps(12, dt=dt)
        assert values[:, 0].tolist() == [0, 0, 0, 2, 2, 2, 4, 4, 4, 0, 0, 0]


def test_pieces_begin_at_their_times() -> None:
    """Zero before the first, then values or functions of time; a step at the time has the new."""
    process = p.Piecewise({0.002: [1.0, 2.0], 0.004: lambda t: [t, -t]})
    values = process.run_steps(5)
    assert values.tolist() == [[0, 0], [1, 2], [1, 2], [0.004, -0.004], [0.005, -0.005]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", [0.0, 0.5, 1.0, 2.5, 4.0, 0.0]),
        ("nearest", [0.0, 0.0, 1.0, 1.0, 4.0, 0.0]),
        ("slinear", [0.0, 0.5, 1.0, 2.5, 4.0, 0.0]),
        ("quadratic", [0.0, 0.25, 1.0, 2.25, 4.0, 0.0]),
    ],
)
def test_values_between_pieces(kind: Any, expected: list[float]) -> None:
    """A line, the nearest, or a parabola through them; zero after the last, as in Nengo."""
    data = {0.0: 0.0, 0.5: 1.0, 1.0: 4.0}
    step = p.Piecewise(data, kind).make_step((0,), (1,), 0.25, np.random.default_rng(0), {})
    found = [float(step(t)[0]) for t in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)]
    assert np.allclose(found, expected)


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


def test_noise_is_added_to_currents_and_no_gain_multiplies_it() -> None:
    """J = gain x + bias + noise."""
    with sw.Network(seed=0) as net:
        ensemble = sw.Ensemble(
            4,
            neuron_type=sw.RectifiedLinear(),
            gain=50.0,
            bias=7.0,
            noise=p.WhiteNoise(scale=False),
        )
        probe = sw.Probe(ensemble.neurons, "input")
    noise = run(net, probe, 5000) - 7.0
    assert noise.var() == pytest.approx(1.0, rel=0.05) and abs(noise.mean()) < 0.03


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
            r"PoissonSpikes.rates must be",
        ),
        (lambda: p.PoissonSpikes("many"), r"rates must be .*, got 'many'"),
        (lambda: p.PoissonSpikes(5.0, 0.0), r"PoissonSpikes.amplitude must be above 0, got 0.0"),
        (lambda: p.PresentInput([], 1.0), r"PresentInput.inputs must be"),
        (lambda: p.PresentInput([[1.0]], 0.0), r"presentation_time must be above 0 s"),
        (lambda: p.Piecewise({}), r"Piecewise: data are \{seconds: value\}"),
        (lambda: p.Piecewise({"a": 1}), r"Piecewise: data are"),
        (lambda: p.Piecewise({0: 1, 1: [1, 2]}), r"pieces have different sizes, \[1, 2\]"),
        (lambda: p.Piecewise({0: np.nan}), r"the value at 0 s must be finite numbers"),
        (lambda: p.Piecewise({0: 1}, "wavy"), r"interpolation must be one of .* got 'wavy'"),
        (lambda: p.Piecewise({0: np.sin, 1: 1}, "linear"), r"'linear' needs values"),
    ],
)
def test_impossible_processes_are_refused(make: Any, message: str) -> None:
    """The error names the process, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


class Mine(p.Process):
    """Whatever it is given to return."""

    def __init__(self, value: Any, size: int = 1, seed: int | None = None) -> None:
        super().__init__(default_size_out=size, seed=seed)
        self.value = value

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        return lambda t, *x: self.value(rng, *x) if callable(self.value) else self.value


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


@pytest.mark.parametrize("name", SIZED)
def test_a_process_of_another_size_is_refused_where_it_is_put(name: str) -> None:
    """In a node, as noise and alone: the place, the process, what it gives and what is wanted."""
    process, gives = SIZED[name], f"{name.split()[0]} gives 2 values a step, where the shape "
    with sw.Network():
        with pytest.raises(
            NetworkError, match=rf"'w'>: {gives}\(3,\) takes 3; give (inp|rat|piec|val)"
        ):
            sw.Node(process, size_out=3, label="w")
        with pytest.raises(NetworkError, match=rf"'e'>: its noise, one value a neuron: {gives}"):
            sw.Ensemble(5, 1, noise=process, label="e")
        sw.Node(process, size_out=2), sw.Node(process), sw.Ensemble(2, 1, noise=process)
    with pytest.raises(NetworkError, match=gives):
        process.run_steps(2, d=3)


@pytest.mark.parametrize("name", [*SIZED, *UNSIZED])
def test_an_input_for_a_process_that_takes_none_is_refused(name: str) -> None:
    """Rather than called with it; and every registered process is among these."""
    assert {type(process).__name__ for process in (*SIZED.values(), *UNSIZED.values())} >= {
        *p.PROCESSES
    }
    process = {**SIZED, **UNSIZED}[name]
    with (
        sw.Network(),
        pytest.raises(NetworkError, match=r"'w'>: \w+ takes no input, got .* \(2,\)"),
    ):
        sw.Node(process, size_in=2, size_out=2, label="w")


def test_a_process_that_cannot_begin_is_named() -> None:
    """An error in make_step, and one that makes no function; a class in place of a process."""

    class Broken(p.Process):
        def make_step(self, *_: Any) -> Any:
            raise RuntimeError("no more")

    class Empty(p.Process):
        def make_step(self, *_: Any) -> Any:
            return 3

    for process, message in (
        (Broken(), r"'w'>: its process could not begin with .*\(RuntimeError: no more\)"),
        (Empty(), r"'w'>: make_step of .* must return a function of the time, got 3"),
    ):
        with sw.Network() as net:
            probe = sw.Probe(sw.Node(process, label="w"))
        with pytest.raises(BuildError, match=message):
            run(net, probe, 5)
    with sw.Network(), pytest.raises(NetworkError, match=r"is a class; make one: WhiteNoise\("):
        sw.Node(p.WhiteNoise)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p.WhiteNoise().run(-1.0), r"seconds must be 0 s or more, got -1.0"),
        (lambda: p.WhiteNoise().run(1.0, dt=0.0), r"dt must be above 0 s"),
        (lambda: p.WhiteNoise().run_steps(2.5), r"steps must be a whole number from 0"),
        (lambda: p.WhiteNoise().run_steps(2, d=1.5), r"d must be a whole number"),
        (lambda: p.WhiteNoise().apply([[1.0]]), r"takes no input"),
        (lambda: Counting().apply([1.0, np.nan]), r"its input must be finite numbers"),
        (lambda: Mine([1.0, 2.0]).run_steps(2), r"returned shape \(2,\) at t = 0.001 s"),
        (lambda: Mine("loud").run_steps(2), r"failed at t = 0.001 s \(ValueError"),
        (lambda: p.WhiteNoise(seed=-1), r"WhiteNoise: a seed is None or a whole number"),
        (lambda: p.WhiteSignal(1.0, 5.0, seed=0.5), r"WhiteSignal: a seed is None or a whole"),
    ],
)
def test_runs_that_cannot_be_are_refused(call: Any, message: str) -> None:
    """The error names what was asked for, and the process where it is at fault."""
    with pytest.raises(NetworkError, match=message):
        call()


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


def test_a_process_that_misbehaves_is_named() -> None:
    """The wrong size, NaN, an error, or a signal that the step is too long for."""

    class Wrong(p.Process):
        def __init__(self, value: Any) -> None:
            self.value = value

        def make_step(self, *_: Any) -> Any:
            return lambda t: self.value if t < 0.0025 else np.array([np.nan])

    for value, message in (
        ([1.0], r"'w'>: its process returned NaN or infinity at t = 0.003"),
        ([1.0, 2.0], r"'w'>: its process returned shape \(2,\) at t = 0.001 s, expected \(1,\)"),
        ("loud", r"'w'>: its process failed at t = 0.001 s \(ValueError"),
    ):
        with sw.Network() as net:
            probe = sw.Probe(sw.Node(Wrong(value), label="w"))
        with pytest.raises(SimulationError, match=message):
            run(net, probe, 5)
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(p.WhiteSignal(1.0, 90.0), label="w"))
    with pytest.raises(BuildError, match=r"'w'>: WhiteSignal.high must be at most .* 50 Hz"):
        run(net, probe, 5, dt=0.01)


@pytest.mark.parametrize("name", [*SIZED, *UNSIZED])
def test_the_librarys_processes_share_nothing(name: str) -> None:
    """They run in blocks, unless a user's function in one reaches what may change."""
    assert pure({**SIZED, **UNSIZED}[name], "make_state", "make_step")
    left: list[float] = []
    assert not pure(p.Piecewise({0.0: 0.0, 1.0: lambda t: len(left)}), "make_state", "make_step")
