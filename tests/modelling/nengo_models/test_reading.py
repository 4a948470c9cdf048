"""Nengo's models read from stand-ins: what is drawn, and what each object becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nengo_stand_in as nengo
import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import ReadError
from spikewright.modelling.nengo_reader import learning, reads_rule
from spikewright.modelling.nengo_reader.seeds import seeds_of


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
    monkeypatch.setattr(learning, "_readers", dict(learning._readers))


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
