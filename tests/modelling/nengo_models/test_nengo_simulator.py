"""The simulator for Nengo's models, on stand-ins for them."""

from __future__ import annotations

import gc
import subprocess
import sys
import types
import warnings
from copy import deepcopy
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import nengo_stand_in as nengo
import numpy as np
import pytest

import spikewright as sw
from sharing import WAYS, close, positions
from spikewright.errors import SimulationError, SpikewrightError
from spikewright.modelling.nengo_simulator.data import kept_steps


class Noise:
    """A process as Nengo runs one."""

    default_size_in, default_size_out = 0, 1

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def make_state(self, shape_in: Any, shape_out: Any, dt: float, dtype: Any = None) -> Any:
        """None."""
        return {}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        """Uniform numbers."""
        return lambda t: rng.uniform(size=shape_out)


class Echo(Noise):
    """A process, or a synapse, whose output is twice its input."""

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        """Twice what arrives."""
        return lambda t, x: 2.0 * x


def seconds(t: float) -> float:
    """The time."""
    return t


def clock(sample_every: float | None = None) -> tuple[Any, Any]:
    """A model that shows the time."""
    model = nengo.Network(seed=1)
    node = model.node(seconds, size_out=1)
    return model, model.probe(node, "output", sample_every=sample_every)


def test_it_runs_resets_clears_and_closes() -> None:
    """Steps, seconds and recordings after each; closed, it keeps recordings and refuses more."""
    model, probe = clock()
    with sw.NengoSimulator(model, dt=0.01, progress_bar=False) as simulator:
        simulator.run(0.05)
        simulator.step()
        simulator.run_steps(2)
        assert (simulator.n_steps, simulator.time, simulator.dt) == (8, 0.08, 0.01)
        np.testing.assert_allclose(simulator.data[probe][:, 0], simulator.trange())
        simulator.clear_probes()
        assert simulator.data[probe].shape == (0, 1)
        simulator.run_steps(1)
        np.testing.assert_allclose(simulator.data[probe], [[0.09]])
        simulator.reset()
        simulator.run_steps(3)
        np.testing.assert_allclose(simulator.data[probe][:, 0], [0.01, 0.02, 0.03])

    assert simulator.closed
    assert len(simulator.data[probe]) == 3
    for call in (simulator.step, simulator.reset, lambda: simulator.run(1), simulator.__enter__):
        with pytest.raises(SimulationError, match="closed"):
            call()


def test_recordings_and_parameters_cannot_be_changed() -> None:
    """What `data` gives is for reading."""
    model, probe = clock()
    ensemble = model.ensemble(5)
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(2)

    for values in (simulator.data[probe], simulator.data[ensemble].encoders):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0


@pytest.mark.parametrize("period", [1, 2, 2.5, 0.5, 7])
def test_probes_keep_what_their_period_says(period: float) -> None:
    """Steps `n` with `n mod period < 1`, cleared or not, and the same in `trange`."""
    model, probe = clock(period * 0.001)
    expected = np.array([n for n in range(1, 41) if n % period < 1]) * 0.001
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(15)
        first = simulator.data[probe][:, 0]
        simulator.clear_probes()
        simulator.run_steps(25)
        second = simulator.data[probe][:, 0]
        times = simulator.trange(sample_every=period * 0.001)

    np.testing.assert_allclose(np.concatenate([first, second]), expected, rtol=1e-6)
    np.testing.assert_allclose(times, expected)
    assert kept_steps(np.array([1, 2, 3]), 1.0).all()


def test_data_is_by_the_models_own_objects() -> None:
    """Parameters as they were drawn; weights of transforms and of decoders; nothing for nodes."""
    model, probe = clock()
    node, ensemble = model.nodes[0], model.ensemble(20, 2, radius=2.0)
    plain, mapped = model.connect(node, ensemble[0]), model.connect(node, ensemble[1], synapse=None)
    mapped.transform, mapped.has_weights = nengo.Dense((1, 1), 3.0), True
    decoded = model.connect(ensemble, model.node(size_in=1), function=lambda x: x[0] * x[1])
    direct = model.ensemble(1, neuron_type=nengo.Direct())

    with sw.NengoSimulator(model, precision="float64", progress_bar=False) as simulator:
        data = simulator.data

    built = data[ensemble]
    gain = built.gain[:, None]
    np.testing.assert_allclose(built.scaled_encoders, built.encoders * gain / 2.0)
    assert data[plain] == (None, None, None, plain.transform)
    assert data[mapped].weights == 3.0
    assert data[decoded].weights.shape == (1, 20)
    assert "rmses" in data[decoded].solver_info
    assert data[decoded].eval_points.shape == (1000, 2)
    assert data[direct].gain is None
    assert data[node] is None
    assert set(data) == {model, *model.nodes, *model.ensembles, *model.connections, probe}
    assert len(data) == len(set(data))
    with pytest.raises(KeyError):
        data[object()]


def test_seeds_are_the_models_and_one_unless_they_are_given() -> None:
    """A process draws from the simulator's seed, or has its own; resets draw again the same."""
    model = nengo.Network(seed=4)
    drawn, own = model.node(Noise(), 0, 1), model.node(Noise(seed=9), 0, 1)
    probes = [model.probe(node, "output") for node in (drawn, own)]

    def run(simulator: Any) -> list[Any]:
        simulator.run_steps(5)
        return [simulator.data[probe][:, 0].copy() for probe in probes]

    with sw.NengoSimulator(model, precision="float64", progress_bar=False) as simulator:
        assert simulator.seed == 5
        first = run(simulator)
        simulator.reset()
        again = run(simulator)
        simulator.reset(seed=77)
        other = run(simulator)

    begun = np.random.RandomState(5).randint(np.iinfo(np.int32).max)
    np.testing.assert_array_equal(first[0], np.random.RandomState(begun).uniform(size=5))
    np.testing.assert_array_equal(first[1], np.random.RandomState(9).uniform(size=5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(first[1], other[1])


def test_noise_reaches_neurons_that_run_natively() -> None:
    """What a process makes is added to their current: without spread they follow it."""
    model = nengo.Network(seed=0)
    ensemble = model.ensemble(
        3, neuron_type=nengo.RectifiedLinear(), noise=Noise(seed=2), gain=np.ones(3),
        bias=np.zeros(3),
    )  # fmt: skip
    probe = model.probe(ensemble.neurons, "output")
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(4)

    expected = np.random.RandomState(2).uniform(size=(4, 3))
    np.testing.assert_allclose(simulator.data[probe], expected, rtol=1e-6)


def test_a_users_own_synapse_is_one_step_late() -> None:
    """What arrives at the end of a step is there in the next one."""
    model = nengo.Network(seed=0)
    post = model.node(size_in=1)
    model.connect(model.node(seconds, size_out=1), post, synapse=Echo())
    probe = model.probe(post, "output")

    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(4)

    np.testing.assert_allclose(simulator.data[probe][:, 0], [0, 0.002, 0.004, 0.006], rtol=1e-6)


def test_functions_that_leave_something_for_each_other_are_called_in_turn() -> None:
    """The reader sees what the writer has written in the same step, not a block later."""
    written: list[float] = []
    model = nengo.Network(seed=0)
    source = model.node(seconds, size_out=1)
    writer = model.node(lambda t, x: written.append(x[0]) or x, 1, 1)
    reader = model.node(lambda t, x: np.array([len(written)]), 1, 1)
    model.connect(source, writer, synapse=None)
    model.connect(writer, reader, synapse=None)
    probe = model.probe(reader, "output")

    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(5)

    np.testing.assert_array_equal(simulator.data[probe][:, 0], [1, 2, 3, 4, 5])


@pytest.mark.parametrize("name", sorted(WAYS.keys() - {"processes"}))
def test_a_loop_closes_through_what_functions_share(name: str) -> None:
    """Whatever two functions have in common, the reader sees the step before."""
    pair = WAYS[name]()
    model = nengo.Network(seed=0)
    sense, act = model.node(pair.sense, size_out=1), model.node(pair.act, 1, 0)
    link = model.connect(sense, act, synapse=nengo.Lowpass(tau=0.0))
    link.transform, link.has_weights = nengo.Dense((1, 1), -0.5), True
    probe = model.probe(sense, "output")

    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(8)

    np.testing.assert_array_equal(simulator.data[probe][:, 0], positions(8))
    close()


def test_a_copy_has_run_as_far() -> None:
    """The same recordings, the same to come; pickles are made of the same."""
    model, probe = clock()
    noise = model.node(Noise(), 0, 1)
    drawn = model.probe(noise, "output")
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(3)
        simulator.clear_probes()
        simulator.run_steps(4)
        with deepcopy(simulator) as copy:
            theirs = {str(p.attr) + str(i): p for i, p in enumerate(copy.network.model.probes)}
            copy.run_steps(2)
            simulator.run_steps(2)
            for ours, other in zip((probe, drawn), theirs.values(), strict=True):
                np.testing.assert_array_equal(simulator.data[ours], copy.data[other])
    assert deepcopy(simulator).closed


def test_what_was_built_is_there_to_look_at() -> None:
    """The model, the seeds and the operators with their tags."""
    model, _ = clock()
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        built = simulator.model

    assert built.toplevel is model
    assert built.seeds[model] == 1
    assert built.params is simulator.data
    assert all(isinstance(op.tag, str) for op in built.operators)


def test_arguments_that_cannot_be_are_errors_and_short_runs_warn() -> None:
    """Negative times, two names for one argument; nothing to run is said."""
    model, _ = clock()
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        with pytest.raises(SimulationError, match="0 s or more"):
            simulator.run(-1)
        with pytest.raises(SimulationError, match="sample_every alone"):
            simulator.trange(dt=0.1, sample_every=0.1)
        with pytest.warns(UserWarning, match="nothing has run"):
            simulator.run(0)
        with pytest.warns(DeprecationWarning, match="sample_every"):
            simulator.trange(dt=0.1)


def test_a_simulator_that_is_left_open_warns() -> None:
    """Closed, it does not."""
    model, _ = clock()
    simulator = sw.NengoSimulator(model, progress_bar=False)
    with pytest.warns(ResourceWarning, match="while open"):
        simulator.__del__()
    simulator.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.__del__()


@pytest.mark.parametrize("filters", ["error", "always"])
def test_what_is_collected_raises_nothing(filters: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where warnings are errors, nor where a simulator could not be built or begun."""
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    model, _ = clock()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter(filters)  # type: ignore[arg-type]
        left = sw.NengoSimulator(model, progress_bar=False)
        del left
        for bad in (lambda: sw.NengoSimulator(None), lambda: sw.NengoSimulator(model, dt=-1.0)):
            with pytest.raises(SpikewrightError):
                bad()
        bare = sw.NengoSimulator.__new__(sw.NengoSimulator)
        bare.closed = False
        del bare
        with pytest.raises(SpikewrightError):
            sw.Simulator(sw.Network(), dt=-1.0)
        gc.collect()
    assert not raised
    assert (filters == "error") != any(w.category is ResourceWarning for w in heard)


def test_what_is_learned_is_read_by_the_models_own_objects() -> None:
    """In the form of `data`, which shows how it began."""
    model = nengo.Network(seed=0)
    pre, node, one = model.ensemble(6), model.node(size_in=1), model.node([1.0])
    made = model.connect(pre, node, learning_rule_type=nengo.PES(1e-2))
    model.connect(one, made.learning_rule)
    with sw.NengoSimulator(model, precision="float64", progress_bar=False) as simulator:
        weights = np.array(simulator.data[made].weights)
        np.testing.assert_array_equal(simulator.learned[made], weights)
        simulator.run_steps(50)
        assert set(simulator.learned) == {made}
        assert simulator.learned[made].shape == weights.shape
        assert np.abs(simulator.learned[made] - weights).max() > 0


def test_tools_find_a_simulator_by_the_name_of_a_module() -> None:
    """`backend.Simulator(model)`, step by step, and the entry point; Nengo is not loaded by it."""
    backend = import_module("spikewright.nengo")
    model, probe = clock()
    simulator = backend.Simulator(model, progress_bar=False)
    for _ in range(3):
        simulator.step()
    simulator.close()
    assert (simulator.n_steps, simulator.dt, len(simulator.data[probe])) == (3, 0.001, 3)
    (found,) = entry_points(group="nengo.backends", name="spikewright")
    assert found.load() is backend.Simulator is sw.NengoSimulator
    code = "import spikewright.nengo, sys; print('nengo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_arguments_have_nengos_names() -> None:
    """The model as `network`, threads for the engine; others say which was meant."""
    model, probe = clock()
    with sw.NengoSimulator(network=model, threads=2, progress_bar=False) as simulator:
        simulator.run(0.003, progress_bar=False)
        assert len(simulator.data[probe]) == 3
        assert deepcopy(simulator)._made_with["threads"] == 2
    for given, message in (
        ({"model": model}, r"NengoSimulator\(\) has no argument 'model'. .* built="),
        ({"progress": False}, r"'progress'. Did you mean 'progress_bar'"),
        ({"precison": "float64"}, r"Did you mean 'precision'"),
    ):
        with pytest.raises(TypeError, match=message):
            sw.NengoSimulator(model, **given)
    for given, message in (({"threads": 0}, "threads must be"), ({"dt": "x"}, "dt must be")):
        with pytest.raises(SpikewrightError, match=message):
            sw.NengoSimulator(model, **given)  # type: ignore[arg-type]


class Bar:
    """What Nengo's bars are: told of progress, and of the end."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def update(self, progress: Any) -> None:
        """Keep what it says."""
        said = (progress.name_during, progress.n_steps, progress.max_steps, progress.finished)
        self.seen.append((*said, progress.progress, progress.eta()))

    def close(self) -> None:
        """Keep that it has ended."""
        self.seen.append("close")


def test_bars_of_the_users_own_are_told_of_progress() -> None:
    """Building begins and ends; a run is told from none to all of its steps, or of its failure."""
    model, _ = clock()
    bar, other = Bar(), Bar()
    with sw.NengoSimulator(model, progress_bar=bar) as simulator:
        assert [s[:4] for s in bar.seen[:-1]] == [
            ("Building", 0, None, False), ("Building", 0, None, True),
        ]  # fmt: skip
        bar.seen.clear()
        simulator.run_steps(250)
        simulator.run_steps(0)
        simulator.run_steps(3, progress_bar=other)

    steps = [s[1] for s in bar.seen if s != "close"]
    assert steps[:3] == [0, 2, 4]
    assert bar.seen.count("close") == 2
    assert max(steps) == 250
    assert [s[1:4] for s in other.seen[-3:-1]] == [(3, 3, False), (3, 3, True)]
    assert bar.seen[0][5] == -1

    def fails(t: float) -> float:
        raise KeyError("mine")

    model.node(fails, size_out=1)
    bar.seen.clear()
    with sw.NengoSimulator(model, progress_bar=bar) as simulator, pytest.raises(KeyError):
        simulator.run_steps(1)
    assert bar.seen[-1] == "close"


def test_an_output_that_is_nothing_known_is_refused_by_label() -> None:
    """The node and the type."""
    model = nengo.Network()
    model.node([1.0]).output = nengo.Plain()
    with pytest.raises(SpikewrightError, match="node output type Plain"):
        sw.NengoSimulator(model, progress_bar=False)


@pytest.fixture
def exceptions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nengo's exceptions, as if Nengo had been loaded."""
    module: Any = types.ModuleType("nengo.exceptions")

    class NengoException(Exception):
        """Nengo's base class."""

    module.NengoException = NengoException
    for name in ("BuildError", "SimulationError", "SimulatorClosed"):
        setattr(module, name, type(name, (NengoException,), {}))

    class ValidationError(NengoException):
        """One that knows whose argument it was."""

        def __init__(self, message: str, attr: str, obj: Any = None) -> None:
            super().__init__(f"{attr}: {message}")

    module.ValidationError = ValidationError
    module.NengoWarning = type("NengoWarning", (Warning,), {})
    monkeypatch.setitem(sys.modules, "nengo.exceptions", module)
    return module


def test_errors_are_of_nengos_classes_too(exceptions: Any) -> None:
    """Who catches Nengo's errors catches these, and who catches ours does as well."""
    model, _ = clock()
    simulator = sw.NengoSimulator(model, progress_bar=False)
    with simulator, pytest.raises(exceptions.ValidationError, match="time_in_seconds"):
        simulator.run(-1)
    with pytest.raises(exceptions.SimulatorClosed):
        simulator.step()
    looped = nengo.Network()
    node = looped.node(size_in=1)
    looped.connect(node, node, synapse=None)
    with pytest.raises(exceptions.BuildError) as caught:
        sw.NengoSimulator(looped, progress_bar=False)
    assert isinstance(caught.value, SpikewrightError)


def test_what_a_users_function_raises_is_passed_on(exceptions: Any) -> None:
    """Its own error as it is; a value that is no number is an error of the run."""

    def fails(t: float) -> float:
        raise KeyError("mine")

    for function, error in ((fails, KeyError), (lambda t: "a", exceptions.SimulationError),
                            (lambda t: np.nan, exceptions.SimulationError)):  # fmt: skip
        model = nengo.Network()
        model.node(function, size_out=1)
        with sw.NengoSimulator(model, progress_bar=False) as simulator, pytest.raises(error):
            simulator.run_steps(1)


def test_a_learned_error_goes_through_encoders_by_name() -> None:
    """The operator that takes PES's error to neurons has the tag that Nengo gives it."""
    model = nengo.Network(seed=0)
    a, b, error = model.ensemble(5), model.ensemble(6), model.node([0.1])
    zeros = nengo.Dense((6, 5), np.zeros((6, 5)))
    connection = model.connect(
        a.neurons, b.neurons, transform=zeros, learning_rule_type=nengo.PES()
    )
    model.connect(error, connection.learning_rule)

    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        assert [op.tag for op in simulator.model.operators].count("PES:encode") == 1


@pytest.mark.parametrize("sample_every", [None, 0.002, 0.0025])
def test_failed_and_interrupted_runs_keep_what_was_recorded(sample_every: float | None) -> None:
    """As in Nengo: data, times and steps agree, the step that failed is not done, and it goes on.

    Recordings are read-only.
    """
    raised: list[BaseException] = [KeyboardInterrupt(), ZeroDivisionError()]
    seen: list[tuple[int, float, float]] = []

    def now(t: float) -> float:
        seen.append((sim.n_steps, sim.time, t))
        if t > 0.0065 and raised:
            raise raised.pop()
        return t

    model = nengo.Network(seed=1)
    probe = model.probe(model.node(now, size_out=1), "output", sample_every=sample_every)
    with sw.NengoSimulator(model, progress_bar=False) as sim:
        seen.clear()
        with pytest.raises(ZeroDivisionError):
            sim.run_steps(10)
        assert sim.n_steps == 6 and sim.time == 0.006
        again = pytest.warns(UserWarning, match="ended within a step")
        with again, pytest.raises(KeyboardInterrupt):
            sim.run_steps(4)
        with pytest.warns(UserWarning, match="ended within a step"):
            sim.run_steps(10 - sim.n_steps)
        times = sim.trange(sample_every=sample_every)
        assert sim.n_steps == 10 and len(times) == {None: 10, 0.002: 5, 0.0025: 4}[sample_every]
        np.testing.assert_allclose(sim.data[probe][:, 0], times)
        assert all(n == round(t / 0.001) - 1 and time == n * sim.dt for n, time, t in seen)
        with pytest.raises(ValueError, match="read-only"):
            sim.data[probe][0] = 1.0


def test_recordings_of_a_model_say_what_there_is() -> None:
    """By the model's own objects, with shapes."""
    model, probe = clock()
    ensemble = model.ensemble(20, 2)
    with sw.NengoSimulator(model, progress_bar=False) as simulator:
        simulator.run_steps(3)
        lines = repr(simulator.data).splitlines()
    assert lines[0].startswith("Data of 3 steps of ")
    assert f"  {ensemble!r}: gain, bias and encoders (20, 2)" in lines
    assert f"  {probe!r}: (3, 1)" in lines
