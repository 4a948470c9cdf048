"""Functions of nodes, and digits of functions of the current, in kernels: the reference's bits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.network import Node, NodeFunction
from spikewright.network import node_functions as f
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    ClippedReLU,
    Elementwise,
    LeakyReLU,
    NeuronType,
    ParametricReLU,
    SignedIntegrateAndFire,
)
from spikewright.network.transforms import Dense, Reshape

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from test_native_coverage import DT, behind, on_reference
from test_native_means import assert_alike

from spikewright.engines.native.engine import NativeEngine

FUNCTIONS: dict[str, tuple[NodeFunction, tuple[int, ...]]] = {
    "layer normalisation": (f.LayerNormalization((-1,), 1e-5), (3, 21)),
    "of two axes": (f.LayerNormalization((-2, -1), 1e-5), (2, 4, 75)),
    "of few values": (f.LayerNormalization((-1,), 1e-5), (5, 3)),
    "root mean square": (f.RMSNormalization((-1,), 1e-6), (5, 16)),
    "product": (f.MatMul(((2, 5, 19), (2, 19, 37))), (2 * 19 * 42,)),
    "turned": (f.MatMul(((2, 19, 5), (37, 19)), False, True, True), (2 * 95 + 37 * 19,)),
}
HOW: dict[str, dict[str, bool]] = {
    "present": {"accumulate": False},
    "means": {"accumulate": True},
    "once": {"accumulate": True, "once": True},
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_nodes(name: str, how: str) -> None:
    """Of spikes that come in some steps, of present values and running sums; nothing is left."""
    (function, shape), given = FUNCTIONS[name], dict(HOW[how])
    function = replace(function, accumulate=given.pop("accumulate"))  # type: ignore[type-var]
    weights = np.random.default_rng(1).normal(size=(int(np.prod(shape)), 9))
    net, stimulus, populations = behind(SignedIntegrateAndFire(), Dense(weights), (9,))
    with net:
        made = function.output_shape(shape)
        node = Node(function, size_in=shape, **given)
        last = sw.Ensemble(made, neuron_type=SignedIntegrateAndFire(), gain=1.5, bias=0.0)
        sw.Connection(net.nodes[1], node, None, Reshape(shape))
        sw.Connection(node, last.neurons, None)
        sw.Probe(node), sw.Probe(last.neurons)
    program = compile_network(net, DT, 0, "float32")
    fed = np.random.default_rng(2).normal(0.0, 900.0, (2, 12, 9))
    fed[:, 5:9] = -250.0  # nothing comes: less than nothing is taken away by the sender's bias
    assert_alike(program, stimulus, [*populations, last], fed, 12)
    assert on_reference(program) == set()


def test_softmax_is_the_reference_to_within_its_exp() -> None:
    """Of the running means: values that are far below the largest are nothing."""
    weights = 90.0 * np.random.default_rng(1).normal(size=(63, 9))
    net, stimulus, _ = behind(SignedIntegrateAndFire(), Dense(weights), (9,))
    with net:
        node = Node(f.Softmax(-1, True), size_in=(3, 21))
        sw.Connection(net.nodes[1], node, None, Reshape((3, 21)))
        found = sw.Probe(node)
    fed = np.random.default_rng(2).normal(0.0, 900.0, (2, 12, 9))
    answers = []
    for engine in (NativeEngine(1), ReferenceEngine()):
        program = compile_network(net, DT, 0, "float64", [found])
        answers.append(Execution(program, engine, 2).run(12, {stimulus: fed})[0])
    np.testing.assert_allclose(*answers, rtol=0, atol=1e-13)
    assert on_reference(program) == set()


RESPONSES: dict[str, NeuronType] = {
    "linear": Elementwise.of("linear"),
    "leaky": LeakyReLU(0.3),
    "parametric": ParametricReLU(np.linspace(0.0, 0.5, 70)),
    "clipped": ClippedReLU(3.0),
    "hard swish": Elementwise.of("hard_swish"),
    **{name: Elementwise.of(name) for name in ("gelu", "silu", "sigmoid", "tanh", "softplus")},
}


@pytest.mark.parametrize("steps", [3, 4, 9])
@pytest.mark.parametrize("name", RESPONSES)
def test_digits_of_responses(name: str, steps: int) -> None:
    """Behind weights, with input at once and later; few digits in blocks, many in pieces."""
    kind = BipolarIntegrateAndFire.digits(steps, 1, RESPONSES[name])
    weights = np.random.default_rng(3).normal(size=(70, 9))
    net, stimulus, populations = behind(SignedIntegrateAndFire(), Dense(weights), (9,), kind, 1.0)
    populations[-1].rate_scale = 200.0 * 2**steps
    program = compile_network(net, DT, 0, "float32")
    fed = np.random.default_rng(4).normal(0.0, 900.0, (2, 12, 9))
    expected = assert_alike(program, stimulus, populations, fed, 12)
    assert len(np.unique(expected[0])) > 2 and on_reference(program) == set()


def test_digits_of_gelu_at_their_thresholds() -> None:
    """Kernels decide by rough values where these suffice: within rounding of one they are exact."""
    size, unit = 400, 0.75
    gelu = np.vectorize(lambda x: 0.5 * x * (1.0 + math.erf(x * math.sqrt(0.5))))
    low, high = 0.0, 4.0
    for _ in range(60):  # the current at which four times gelu is two thirds of a digit of 8
        middle = (low + high) / 2
        low, high = (middle, high) if 4.0 * gelu(middle) < 8 * 2 / 3 * unit else (low, middle)
    apart = np.sort(np.outer([-1.0, 1.0], np.logspace(-17, -4, size // 2)).ravel())
    kind = BipolarIntegrateAndFire.digits(4, 0, Elementwise.of("gelu"))
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(size))
        reader = sw.Ensemble(
            size, neuron_type=kind, gain=1.0, bias=0.0, rate_scale=1.0 / unit / DT,
            initial_voltage="half",
        )  # fmt: skip
        sw.Connection(stimulus, reader.neurons, None)
        sw.Probe(reader.neurons, "spike_count")
    fed = np.zeros((1, 4, size))
    fed[0, 0] = 4.0 * low * (1.0 + apart)
    expected = assert_alike(compile_network(net, DT, 0, "float64"), stimulus, [reader], fed, 4)
    first = expected[0][0, 0]
    assert not first[np.searchsorted(apart, -1e-7)] and first[np.searchsorted(apart, 1e-7)]
