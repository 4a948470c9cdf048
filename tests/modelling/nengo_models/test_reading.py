"""Nengo's models read from stand-ins: what is drawn, and what each object becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nengo_stand_in as nengo
import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import BuildError, ReadError
from spikewright.modelling.nengo_reader import components, reads_rule
from spikewright.modelling.nengo_reader.kinds import is_a, kind, own_kind, seeds_of
from spikewright.network.transforms import Chain


class UsersLIF(nengo.LIF):
    """A user's type that says only how it is made."""

    start = 0.5

    def __init__(self) -> None:
        self.tau_rc = 0.03


class Doubled(nengo.LIF):
    """A user's type with an equation of its own."""

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> Any:
        """How often it was called."""
        return {"calls": np.zeros(n_neurons)}

    def rates(self, x: Any, gain: Any, bias: Any) -> Any:
        """Twice the current."""
        return 2.0 * (x * gain + bias)

    def step(self, dt: float, J: Any, output: Any, calls: Any) -> None:
        """Twice the current, and one more call."""
        calls += 1
        output[...] = 2.0 * J


class Stepless:
    """A neuron type that is none."""

    def gain_bias(self, max_rates: Any, intercepts: Any) -> Any:
        """Ones and zeros."""
        return np.ones_like(max_rates), np.zeros_like(intercepts)


def test_seeds_are_those_that_nengo_draws() -> None:
    """Golden numbers of nengo 4.1: a network seeded with 5, its objects in the order of kinds."""
    model = nengo.Network(seed=5)
    a, b = model.node([0.5]), model.ensemble(10)
    inner = model.inside()
    inner.ensemble(10, 2, seed=77)
    d, e = inner.ensemble(5), model.ensemble(8, 2)
    k, own = model.connect(a, b), model.connect(b, d, seed=3)
    p = model.probe(b, "decoded_output")

    seeds = seeds_of(model, 5)

    assert [seeds[x] for x in (k, own, e, inner, a, p)] == [
        953453411, 3, 1423042237, 887852006, 1562238070, 1797920144,
    ]  # fmt: skip
    assert (seeds[b], seeds[inner.ensembles[0]], seeds[d]) == (1592283119, 77, 618099483)


def test_parameters_are_drawn_in_nengos_order_from_the_ensembles_seed() -> None:
    """Evaluation points, encoders, rates, intercepts from the seed; voltages from the next one."""
    model = nengo.Network(seed=1)
    ensemble = model.ensemble(30, 2, radius=2.0, seed=11)

    found = sw.from_nengo(model)
    drawn, ours = found.drawn[ensemble], found.of[ensemble]
    rng = np.random.RandomState(11)

    np.testing.assert_array_equal(drawn.eval_points, 2.0 * rng.uniform(-1, 1, (1000, 2)))
    directions = rng.standard_normal((30, 2))
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_array_equal(drawn.encoders, directions / lengths)
    np.testing.assert_array_equal(drawn.max_rates, rng.uniform(200, 400, 30))
    np.testing.assert_array_equal(drawn.intercepts, rng.uniform(-1.0, 0.9, 30))
    voltages = np.random.RandomState(12).uniform(0, 1, 30)
    np.testing.assert_array_equal(ours.initial_voltage, voltages)
    np.testing.assert_array_equal(ours.gain, drawn.gain)


def test_a_model_with_a_seed_is_the_same_every_time_and_without_one_is_not() -> None:
    """What is drawn follows from the seed, which the caller may stand in for."""
    seeded, other = nengo.Network(seed=3), nengo.Network()
    a, b = seeded.ensemble(10), other.ensemble(10)

    def gains(model: Any, ensemble: Any, **given: Any) -> Any:
        return sw.from_nengo(model, **given).drawn[ensemble].gain

    np.testing.assert_array_equal(gains(seeded, a), gains(seeded, a, seed=8))
    np.testing.assert_array_equal(gains(other, b, seed=8), gains(other, b, seed=8))
    assert not np.array_equal(gains(other, b), gains(other, b))


def test_kinds_are_told_by_names_and_by_what_a_class_defines() -> None:
    """A subclass without methods has its base's equation; with one it has its own."""
    assert own_kind(nengo.LIF()) == "LIF"
    assert own_kind(UsersLIF()) == "LIF"
    assert own_kind(Doubled()) == ""
    assert own_kind(3.0) == kind(3.0) == ""
    assert kind(Doubled()) == "LIF"
    assert is_a(Doubled(), "LIF")
    assert not is_a(Doubled(), "Izhikevich")


def test_every_object_is_found_by_the_models_own() -> None:
    """Networks, nodes, ensembles, neurons, connections and probes, in networks inside too."""
    model = nengo.Network(seed=0, label="whole")
    node = model.node(lambda t: np.sin(t), size_out=1)
    inner = model.inside(label="part")
    ensemble = inner.ensemble(20)
    connection = inner.connect(node, ensemble)
    probe = inner.probe(ensemble, "decoded_output")

    found = sw.from_nengo(model)

    assert found.label == "whole"
    assert found.of[inner].label == "part"
    assert found.networks == [found.of[inner]]
    assert isinstance(found.of[node], sw.Node)
    assert found.of[ensemble.neurons] == found.of[ensemble].neurons
    assert found.of[inner].connections == [found.of[connection]]
    assert found.of[probe].target is found.of[ensemble]
    with pytest.raises(KeyError):
        found.of[object()]


def test_a_subclass_that_says_only_how_it_is_made_keeps_its_parameters() -> None:
    """It is read as its base type, with its own numbers."""
    model = nengo.Network(seed=0)
    ensemble = model.ensemble(5, neuron_type=UsersLIF())

    assert sw.from_nengo(model).of[ensemble].neuron_type == sw.LIF(tau_rc=0.03, min_voltage=0)


def test_a_users_own_neuron_type_is_run_by_its_step() -> None:
    """Its step is called once a step with its state, and decoders are found at its rates."""
    model = nengo.Network(seed=0)
    node = model.node([0.5])
    ensemble = model.ensemble(8, neuron_type=Doubled())
    model.connect(node, ensemble, synapse=None)
    output, calls = (model.probe(ensemble.neurons, attr) for attr in ("output", "calls"))
    decoded = model.probe(ensemble, "decoded_output")

    found = sw.from_nengo(model)
    drawn = found.drawn[ensemble]
    with sw.Simulator(found, precision="float64", progress=False) as simulator:
        simulator.run_steps(4)

    current = 0.5 * drawn.encoders[:, 0] * drawn.gain + drawn.bias
    np.testing.assert_allclose(simulator.data[found.of[output]][2], 2 * current, rtol=1e-12)
    np.testing.assert_array_equal(simulator.data[found.of[calls]][:, 0], [1, 2, 3, 4])
    np.testing.assert_allclose(simulator.data[found.of[decoded]][-1], [0.5], atol=0.02)


class Named(nengo.LIF):
    """A type that calls its state as all neurons call their current."""

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> Any:
        """One value a neuron."""
        return {"in": np.zeros(n_neurons)}


def test_state_with_a_name_that_is_taken_is_refused() -> None:
    """The ensemble, the type and the name."""
    model = nengo.Network(seed=0)
    model.ensemble(5, neuron_type=Named(), label="odd")

    with pytest.raises(BuildError, match=r"<Ensemble 'odd'>.*'in' overlaps.*Named"):
        sw.from_nengo(model)


class Drawn(nengo.LIF):
    """A type that draws what it sends."""

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> Any:
        """A generator."""
        return {"rng": np.random.RandomState(rng.randint(1000))}

    def rates(self, x: Any, gain: Any, bias: Any) -> Any:
        """A half everywhere."""
        return np.full(np.shape(x), 0.5)

    def step(self, dt: float, J: Any, output: Any, rng: Any) -> None:
        """Uniform numbers."""
        output[...] = rng.uniform(size=output.shape)


def test_generators_are_state_that_begins_anew_with_every_run() -> None:
    """The numbers of the generator that the type was given, again after a reset."""
    model = nengo.Network(seed=0)
    ensemble = model.ensemble(3, neuron_type=Drawn(), seed=20)
    probe = model.probe(ensemble.neurons, "output")
    expected = np.random.RandomState(np.random.RandomState(21).randint(1000)).uniform(size=(4, 3))

    with sw.NengoSimulator(model, precision="float64", progress_bar=False) as simulator:
        for _ in range(2):
            simulator.run_steps(1)
            simulator.run_steps(3)
            np.testing.assert_array_equal(simulator.data[probe], expected)
            simulator.reset()


class Wide(nengo.LIF):
    """A type with two values a neuron."""

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> Any:
        """Two values a neuron."""
        return {"voltage": np.zeros((n_neurons, 2))}


def test_state_of_another_shape_is_refused() -> None:
    """The ensemble, the name and the shape."""
    model = nengo.Network(seed=0)
    model.ensemble(5, neuron_type=Wide(), label="odd")

    with pytest.raises(BuildError, match=r"<Ensemble 'odd'>.*'voltage'.*5 neurons.*\(5, 2\)"):
        sw.from_nengo(model)


def test_neurons_without_a_step_are_refused_by_label() -> None:
    """The message names the ensemble, the type, the reason and what would do."""
    model = nengo.Network(seed=0)
    model.ensemble(5, neuron_type=Stepless(), label="odd")

    with pytest.raises(ReadError, match=r"<Ensemble 'odd'>.*Stepless.*no step.*one of .*LIF"):
        sw.from_nengo(model)


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (nengo.Lowpass(0.02), sw.Lowpass(0.02)),
        (nengo.Alpha(0.02), sw.Alpha(0.02)),
        (nengo.Triangle(0.02), sw.Triangle(0.02)),
        (nengo.LinearFilter([1], [0.02, 1], True, "euler"),
         sw.LinearFilter((1,), (0.02, 1), True, "euler")),
        (None, None),
    ],
    ids=["lowpass", "alpha", "triangle", "linear", "none"],
)  # fmt: skip
def test_synapses_are_read_by_name(given: Any, ours: Any) -> None:
    """The same filter with the same parameters."""
    model = nengo.Network()
    connection = model.connect(model.node([1.0]), model.node(size_in=1), synapse=given)

    assert sw.from_nengo(model).of[connection].synapse == ours


def test_a_filter_that_cannot_be_made_is_refused_by_label() -> None:
    """The connection, the filter and the methods that there are."""
    model = nengo.Network()
    wrong = nengo.LinearFilter([1], [0.1, 1], True, "gbt")
    model.connect(model.node([1.0]), model.node(size_in=1), synapse=wrong, label="odd")

    with pytest.raises(ReadError, match=r"<Connection 'odd'>.*gbt.*zoh"):
        sw.from_nengo(model)


def test_solvers_keep_their_parameters_and_users_own_are_called() -> None:
    """A user's solver is called with activities, targets and the connection's generator."""
    model = nengo.Network(seed=0)
    seen: list[Any] = []

    class Mean(nengo.Plain):
        weights = False

        def __call__(self, A: Any, Y: Any, rng: Any = None) -> Any:
            seen.append((A.shape, rng.randint(1000)))
            return np.full((A.shape[1], Y.shape[1]), 0.25), {"said": 1}

    ensemble, node = model.ensemble(10), model.node(size_in=1)
    known = model.connect(ensemble, node, solver=nengo.LstsqDrop(False, 0.5))
    own = model.connect(ensemble, node, solver=Mean(), seed=4)

    found = sw.from_nengo(model)
    with sw.Simulator(found, progress=False) as simulator:
        data = simulator.data[found.of[own]]

    solver = found.of[known].solver
    assert solver == sw.solvers.LstsqDrop(drop=0.5)
    assert np.all(data.decoders == 0.25)
    assert data.solver_info["said"] == 1
    assert seen[0] == ((750, 10), np.random.RandomState(4).randint(1000))


def test_parts_functions_and_evaluation_points_are_kept() -> None:
    """Slices, lists and truth values as parts, functions with values of two axes, own points."""
    model = nengo.Network(seed=0)
    node = model.node([1.0, 2.0, 3.0])
    post = model.node(size_in=3)
    model.connect(node[[2, 0]], post[[True, False, True]], synapse=None)
    model.connect(node[1], post[1:2], synapse=None, function=lambda x: np.array([[x[0] ** 2]]))
    probe = model.probe(post, "output")
    ensemble = model.ensemble(10, radius=3.0)
    points = np.linspace(-1, 1, 7)[:, None]
    connection = model.connect(ensemble, post[0], eval_points=points)

    found = sw.from_nengo(model)
    with sw.Simulator(found, progress=False) as simulator:
        simulator.run_steps(1)

    np.testing.assert_allclose(simulator.data[found.of[probe]][0], [3.0, 4.0, 1.0])
    built = simulator.data[found.of[connection]].eval_points
    np.testing.assert_allclose(built, 3.0 * points)


def test_transforms_that_are_drawn_are_drawn_from_the_connections_seed() -> None:
    """What the connection says, and what it does."""
    model = nengo.Network()
    node, post = model.node([1.0, -2.0]), model.node(size_in=3)
    random = nengo.Dense((3, 2), nengo.Uniform(-1, 1))
    connection = model.connect(node, post, transform=random, seed=6, synapse=None)
    probe = model.probe(post, "output")

    found = sw.from_nengo(model)
    with sw.Simulator(found, precision="float64", progress=False) as simulator:
        simulator.run_steps(1)

    matrix = np.random.RandomState(6).uniform(-1, 1, (3, 2))
    np.testing.assert_array_equal(found.sampled[connection].weights, matrix)
    np.testing.assert_allclose(simulator.data[found.of[probe]][0], matrix @ [1.0, -2.0])


def _image(axes: tuple[int, ...], channels: int, last: bool) -> Any:
    return nengo.ChannelShape((*axes, channels) if last else (channels, *axes))


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_is_the_transpose_of_one(
    last: bool, padding: str, strides: tuple[int, int], groups: int
) -> None:
    """`<C x, y> = <x, C' y>`, C' with channels and filters of each group exchanged."""
    rng = np.random.default_rng(0)
    large, channels, filters = np.array([7, 8]), 4, 6
    kernel = rng.normal(size=(3, 2, channels // groups, filters))
    small = -(-large // strides) if padding == "same" else (large - [3, 2]) // strides + 1
    wide, narrow = _image(tuple(large), channels, last), _image(tuple(small), filters, last)
    given = {"strides": strides, "padding": padding, "channels_last": last, "groups": groups}
    forward = nengo.Convolution(kernel, input_shape=wide, output_shape=narrow, **given)
    parts = np.stack(np.split(kernel, groups, axis=3), axis=2)  # (.., groups, in, out)
    turned = np.concatenate(list(np.moveaxis(parts.swapaxes(-1, -2), 2, 0)), axis=-1)
    backward = nengo.ConvolutionTranspose(turned, input_shape=narrow, output_shape=wide, **given)
    x, y = rng.normal(size=large.prod() * channels), rng.normal(size=small.prod() * filters)

    there, back = _mapped(forward, x, y.size), _mapped(backward, y, x.size)

    np.testing.assert_allclose(there @ y, x @ back, rtol=1e-10)


def _mapped(transform: Any, x: Any, size: int) -> Any:
    model = nengo.Network()
    node, post = model.node(x), model.node(size_in=size)
    model.connect(node, post, transform=transform, synapse=None)
    probe = model.probe(post, "output")
    found = sw.from_nengo(model)
    with sw.Simulator(found, precision="float64", progress=False) as simulator:
        simulator.run_steps(1)
    return simulator.data[found.of[probe]][0]


def test_sparse_transforms_and_unknown_ones() -> None:
    """Entries add up; what is not known is refused by label."""
    sparse = nengo.Sparse((2, 3), [[0, 1], [1, 0], [1, 2]], [2.0, -1.0, 0.5])
    np.testing.assert_allclose(_mapped(sparse, [1.0, 10.0, 100.0], 2), [20.0, 49.0])

    model = nengo.Network()
    odd = nengo.Plain()
    model.connect(model.node([1.0]), model.node(size_in=1), transform=odd, label="odd")
    with pytest.raises(ReadError, match=r"<Connection 'odd'>.*transform Plain.*Dense"):
        sw.from_nengo(model)


def test_images_are_chains_of_shapes() -> None:
    """A convolution between flat vectors is one of images in the middle."""
    model = nengo.Network()
    kernel = np.ones((2, 2, 1, 3))
    shapes = {"input_shape": _image((4, 4), 1, True), "output_shape": _image((3, 3), 3, True)}
    connection = model.connect(
        model.node(np.ones(16)),
        model.node(size_in=27),
        transform=nengo.Convolution(kernel, **shapes),
    )

    assert isinstance(sw.from_nengo(model).of[connection].transform, Chain)


def test_learning_is_read_with_its_error() -> None:
    """PES keeps its rate and filter, and a connection leads to the rule, made after it."""
    model = nengo.Network(seed=0)
    pre, post, error = model.ensemble(10), model.node(size_in=1), model.node([0.1])
    inner = model.inside()
    rule = nengo.PES(1e-3, nengo.Lowpass(0.01))
    late = model.connect(pre, post, learning_rule_type=rule)
    early = inner.connect(error, late.learning_rule)

    found = sw.from_nengo(model)

    assert found.of[late].learning_rule_type == sw.PES(1e-3, sw.Lowpass(0.01))
    assert found.of[early].post_obj == found.of[late].learning_rule
    assert found.of[late.learning_rule] == found.of[late].learning_rule

    odd = nengo.Network(seed=0)
    odd.connect(odd.ensemble(5), odd.node(size_in=1), learning_rule_type=nengo.Plain(), label="odd")
    with pytest.raises(ReadError, match=r"<Connection 'odd'>.*rule Plain.*PES"):
        sw.from_nengo(odd)


def test_what_is_built_takes_the_place_of_what_would_be_drawn() -> None:
    """Encoders, gains, voltages and decoders of a simulator, behind any transform."""
    model = nengo.Network(seed=0)
    ensemble, post = model.ensemble(6, 2), model.node(size_in=1)
    matrix = nengo.Dense((1, 2), [[2.0, -1.0]])
    connection = model.connect(ensemble, post, transform=matrix)
    rng = np.random.default_rng(1)
    decoders = rng.normal(size=(2, 6))
    made = nengo.Plain(
        eval_points=rng.normal(size=(40, 2)),
        encoders=np.eye(2)[[0, 1, 0, 1, 0, 1]],
        intercepts=np.zeros(6),
        max_rates=np.full(6, 100.0),
        gain=np.arange(1.0, 7.0),
        bias=np.ones(6),
    )
    voltage = rng.uniform(size=6)
    signals = {
        ensemble.neurons: {
            "voltage": nengo.Plain(initial_value=voltage),
            "refractory_time": nengo.Plain(initial_value=np.zeros(6)),
        }
    }
    weights = np.array([[2.0, -1.0]]) @ decoders
    built = nengo.Plain(
        data={ensemble: made, connection: nengo.Plain(weights=weights)},
        model=nengo.Plain(sig=signals, seeds={model: 0}),
        seed=1,
        step_order=(),
    )

    found = sw.from_nengo(model, built)
    with sw.Simulator(found, precision="float64", progress=False) as simulator:
        built_again = simulator.data[found.of[connection]].weights

    ours = found.of[ensemble]
    np.testing.assert_array_equal(ours.gain, made.gain)
    np.testing.assert_array_equal(ours.encoders, made.encoders)
    np.testing.assert_array_equal(ours.initial_voltage, voltage)
    np.testing.assert_allclose(built_again, weights, rtol=1e-12)


@pytest.fixture
def _readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered in a test is forgotten after it."""
    monkeypatch.setattr(components, "_readers", dict(components._readers))


@pytest.mark.usefixtures("_readers")
def test_a_users_rule_is_what_the_user_says() -> None:
    """By its class or one above it; the last word holds; without a word it is refused with how."""

    class Theirs:
        learning_rate = 3e-4

    class Derived(Theirs):
        learning_rate = 5e-4

    def read(rule: Any) -> Any:
        model = nengo.Network(seed=0)
        made = model.connect(model.ensemble(5), model.node(size_in=1), learning_rule_type=rule)
        found = sw.from_nengo(model)
        return found.of[made].learning_rules[0].learning_rule_type

    with pytest.raises(
        ReadError, match=r"rule Theirs cannot be run.*nengo_reader.reads_rule, or use"
    ):
        read(Theirs())
    reads_rule(Theirs)(lambda theirs: sw.PES(theirs.learning_rate))
    assert read(Theirs()) == sw.PES(3e-4)
    assert read([Theirs()]) == sw.PES(3e-4) == read({"a": Theirs()})
    assert read(Derived()) == sw.PES(5e-4)
    reads_rule(Derived)(lambda theirs: sw.RLS(theirs.learning_rate))
    assert read(Derived()) == sw.RLS(5e-4)
    reads_rule(Theirs)(lambda theirs: "PES")  # type: ignore[arg-type, return-value]
    with pytest.raises(ReadError, match=r"the function that reads it gave 'PES'; let it return"):
        read(Theirs())
    with pytest.raises(TypeError, match="takes the class of a learning rule"):
        reads_rule(Theirs())  # type: ignore[arg-type]


@pytest.mark.usefixtures("_readers")
def test_one_of_nengos_rules_may_be_read_otherwise() -> None:
    """A word of the user's about a class of Nengo's comes first."""
    reads_rule(nengo.PES)(lambda theirs: sw.RLS(theirs.learning_rate))
    model = nengo.Network(seed=0)
    ends = model.ensemble(5), model.node(size_in=1)
    made = model.connect(*ends, learning_rule_type=nengo.PES(2e-4))
    (rule,) = sw.from_nengo(model).of[made].learning_rules
    assert rule.learning_rule_type == sw.RLS(2e-4)


def test_what_a_built_simulator_has_learned_is_taken() -> None:
    """Its present weights and encoders once it has run; those of a closed one are gone."""
    model = nengo.Network(seed=0)
    pre, post, node = model.ensemble(6), model.ensemble(4, radius=2.0), model.node(size_in=1)
    decoded = model.connect(pre, node, learning_rule_type=nengo.PES())
    turned = model.connect(pre, post, learning_rule_type=nengo.Voja())
    plain = sw.from_nengo(model)
    drawn = {ensemble: plain.drawn[ensemble] for ensemble in (pre, post)}
    rng = np.random.default_rng(3)
    weights, encoders = rng.normal(size=(1, 6)), rng.normal(size=(4, 1))
    gain = np.array([1.0, 2.0, 0.0, 3.0])  # of neurons without gain nothing was scaled
    drawn[post] = replace(drawn[post], gain=gain, bias=np.ones(4))
    built = nengo.Plain(
        data={**drawn, **dict.fromkeys((decoded, turned), nengo.Plain(weights=np.zeros((1, 6))))},
        model=nengo.Plain(
            sig={decoded: {"weights": "w"}, post: {"encoders": "e"}}, seeds={model: 0}
        ),
        signals={"w": weights, "e": encoders * gain[:, None] / 2.0},
        n_steps=0,
        seed=1,
    )

    def learned(connection: Any) -> dict[str, Any]:
        return dict(sw.from_nengo(model, built).of[connection].learned)

    assert learned(decoded) == {} == learned(turned)
    built.n_steps = 7
    np.testing.assert_array_equal(learned(decoded)["weights"], weights)
    expected = np.where(gain[:, None] == 0, drawn[post].encoders, encoders)
    np.testing.assert_allclose(learned(turned)["encoders"], expected, rtol=1e-15)
    built.signals = None
    with pytest.raises(ReadError, match=r"learned in 7 steps were lost .* built= while it is open"):
        sw.from_nengo(model, built)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encoders": np.zeros((5, 1))}, r"<Ensemble 'odd'>.*5 of 5 are zero-length"),
        ({"intercepts": np.full(5, 1.5)}, r"<Ensemble 'odd'>.*negative or non-finite gain, 5 of 5"),
    ],
)
def test_parameters_that_no_neuron_can_have_are_refused(given: Any, message: str) -> None:
    """The message names the ensemble and how many neurons it concerns."""
    model = nengo.Network(seed=0)
    model.ensemble(5, label="odd", **given)

    with pytest.raises(BuildError, match=message):
        sw.from_nengo(model)


def test_gain_without_bias_and_what_is_not_a_model() -> None:
    """One of both determines nothing; anything else than a network is refused."""
    model = nengo.Network(seed=0)
    model.ensemble(5, gain=np.ones(5), label="odd")
    with pytest.raises(NotImplementedError, match=r"'odd'.*both or neither"):
        sw.from_nengo(model)
    with pytest.raises(ReadError, match=r"nengo.Network, got 3"):
        sw.from_nengo(3)


def test_an_object_of_another_model_is_refused_by_label() -> None:
    """As pre, as post, and as what a probe records."""
    other = nengo.Network().ensemble(5, label="elsewhere")
    for fill in (
        lambda model: model.connect(other, model.node(size_in=1), label="odd"),
        lambda model: model.connect(model.node([1.0]), other, label="odd"),
        lambda model: model.probe(other, "input", label="odd"),
    ):
        model = nengo.Network(seed=0)
        fill(model)
        with pytest.raises(BuildError, match=r"'odd'.*elsewhere.*not in the model"):
            sw.from_nengo(model)


def test_gain_and_bias_say_what_rates_would_and_a_warning_says_so() -> None:
    """Rates and intercepts that are given too are ignored, and so is a number of points."""
    model = nengo.Network(seed=0)
    ensemble = model.ensemble(
        5, gain=np.full(5, 2.0), bias=np.ones(5), max_rates=nengo.Uniform(1, 2),
        eval_points=np.ones((4, 1)), n_eval_points=7,
    )  # fmt: skip

    with pytest.warns(match="gain and bias override max_rates"), pytest.warns(match="7 is ignored"):
        found = sw.from_nengo(model)

    np.testing.assert_array_equal(found.drawn[ensemble].intercepts, np.zeros(5))


def test_defaults_of_networks_around_leave_a_model_as_it_is() -> None:
    """What a model does not say is Nengo's default, not that of the network it is read into."""
    model = nengo.Network(seed=5)
    a, b = model.node([0.5]), model.ensemble(10)
    k = model.connect(a, b)
    alone = sw.from_nengo(model)
    with sw.Network() as around:
        around.config[sw.Ensemble].rate_scale = 3.0
        around.config[sw.Ensemble].restart_every = 4
        around.config[sw.Connection].scale_eval_points = False
        inside = sw.from_nengo(model)
        made = sw.Ensemble(4, neuron_type=sw.RectifiedLinear())
    assert inside in around and made.restart_every == 4
    for found in (alone, inside):
        assert found.of[b].rate_scale == 1.0 and found.of[b].restart_every is None
        assert found.of[k].scale_eval_points
