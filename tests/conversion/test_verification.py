"""`verify`: what rounding explains, what it does not, and the record of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import models
import spikewright as sw
from slowly import in_turn, one_of_each
from spikewright._base.equations import CURVES
from spikewright.conversion.arguments import Wanted
from spikewright.conversion.stages import ConvertibleModel
from spikewright.conversion.verification import network_values, random_inputs_for
from spikewright.conversion.verification_result import (
    OWN_SUM,
    UNITS,
    Difference,
    relative_error,
    rounding_bounds,
    sum_errors,
)
from spikewright.errors import VerificationError
from spikewright.frontends import Source, read
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.integer_inputs import random_inputs, whole_inputs
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Input,
    Lookup,
    Reshape,
    ScaleShift,
)
from spikewright.testing.layers import LayerExample, example_inputs, layer_examples

SINGLE = UNITS["float32"]


class Cancelling(nn.Module):
    """A layer between layers whose large terms cancel; the output hardly depends on it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.large, self.small, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, 6)` to `(batch, 3)`."""
        large = 1e4 * self.large(x)
        rest = (large + self.small(x)) - large
        return self.head(torch.relu(self.small(x)) + 1e-4 * rest)


X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def cancelling() -> sw.Conversion:
    """Its rate network."""
    return sw.convert(Cancelling().eval(), example_input=X[:2])


# --- the record ----------------------------------------------------------------------------------


def test_a_verification_is_a_line_a_table_and_a_dict() -> None:
    """One line names the worst layer, its error and its bound; the table has every difference."""
    found = cancelling().verify(X)

    line = repr(found)
    assert line.count("\n") == 0
    assert str(found) == f"{line}.\n\n{found.table}"
    assert found.worst.layer in line
    assert f"{found.worst.error:.2g}" in line and f"{found.worst.bound:.2g}" in line
    assert "PyTorch" in line and "float32" in line and "5 samples" in line
    lines = found.table.splitlines()
    assert len(lines) == 1 + len(found.differences)
    assert lines[0].split()[:2] == ["layer", "kind"]
    assert found.table.count("the rate network") > 3
    assert isinstance(found, Mapping)
    assert max(found.values()) == max(d.error for d in found.differences if not d.output)
    assert {"small", "sub", "head"} <= set(found) and found["small"] < 1e-5
    assert found.outputs == {"output": pytest.approx(0, abs=1e-5)}
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert len(document["differences"]) == len(found.differences)
    with pytest.raises(KeyError):
        found["output"]


def test_a_loaded_conversion_is_compared_with_the_graph_that_was_read(tmp_path: Any) -> None:
    """That is its source, and it says so: only the network may differ from it."""
    cancelling().save(tmp_path / "c.npz")
    found = sw.load(tmp_path / "c.npz").verify()

    assert "the graph that was read" in str(found)
    assert found.outputs == {"output": 0}
    assert {d.compared for d in found.differences if d.error} == {"the rate network", OWN_SUM}


def test_a_code_of_spikes_changes_nothing_of_it(tmp_path: Any) -> None:
    """Signed digits, as made or from a file, are compared as the rate network of the model is."""
    rates = cancelling()
    digits = rates.replace(spiking=True, coding=sw.SignedDigits(4, 1), calibration=X)
    assert digits.verify(X).as_dict() == rates.verify(X).as_dict()
    for conversion, name in ((digits, "digits.sw"), (rates, "rates.sw")):
        conversion.save(tmp_path / name)
    found, wanted = (sw.load(tmp_path / name).verify(X) for name in ("digits.sw", "rates.sw"))
    assert found.as_dict() == wanted.as_dict()


def test_an_error_carries_the_record() -> None:
    """So that the table can be looked at where the verdict is bad."""
    conversion = spoiled(cancelling(), "small", 1.5)
    with pytest.raises(VerificationError) as caught:
        conversion.verify(X)

    assert caught.value.verification["small"] > 0.1
    assert "small" in caught.value.verification.table


# --- values beside their own terms ---------------------------------------------------------------


def unequal(weight: list[list[float]]) -> sw.Conversion:
    """A layer with these weights, as a rate network."""
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(weight)
    return sw.convert(nn.Sequential(layer), example_input=torch.ones(1, len(weight[0])))


def without_compensation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of weights on the grid alone, which lose small weights."""
    monkeypatch.setattr(
        "spikewright.engines.compile.with_prepared_weights", lambda operators, *_: operators
    )


UNEQUAL = [[1.0, 1e-9], [0.0, 1.0]]


def test_a_lost_term_is_found_whatever_the_layers_largest_value_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One value is off by half, and the largest of its layer is a thousand million."""
    x = np.array([[1.0, 1e9], [2.0, 1e9]], np.float32)
    found = unequal(UNEQUAL).verify(x)
    assert [d.agrees for d in found.differences if d.compared == OWN_SUM] == [True]
    without_compensation(monkeypatch)
    with pytest.raises(VerificationError, match=r"its own sum is off by 0\.5 of the terms"):
        unequal(UNEQUAL).verify(x)
    unequal(UNEQUAL).verify(x, rtol=1e-5)  # of the layer's largest value


def test_drawn_inputs_are_scaled_to_weights_of_many_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a feature with small weights matters, which the result says; level weights change
    nothing."""
    small = [[1.0, 1e-9], [0.5, 2e-9]]
    found = unequal(small).verify()
    assert found.scaled == ("0 Linear",) and "scaled to the weights of '0 Linear'" in str(found)
    assert cancelling().verify().scaled == ()
    level = cancelling().canonical
    np.testing.assert_array_equal(
        random_inputs_for(level, level, 3).values["x"], random_inputs(level, 3)["x"]
    )
    without_compensation(monkeypatch)
    with pytest.raises(VerificationError, match="the rate network is off by"):
        unequal(small).verify()


# --- rounding ------------------------------------------------------------------------------------


def test_large_terms_that_cancel_are_no_difference() -> None:
    """A hidden layer is off by more than 1e-4 where all outputs agree to 1e-6: rounding."""
    found = cancelling().verify(X)

    assert found["sub"] > 1e-4
    assert found.outputs["output"] < 1e-6
    with pytest.raises(VerificationError, match=r"off by .* above rtol=0\.0001; outputs agree"):
        cancelling().verify(X, rtol=1e-4)


# --- rounding ------------------------------------------------------------------------------------


def test_what_rounding_does_not_explain_is_a_difference_there_too() -> None:
    """Five times as much, in the layer whose terms cancel, which is named."""
    bound = max(d.bound for d in cancelling().verify(X).differences if d.layer == "sub")
    assert bound < 0.05
    with pytest.raises(VerificationError, match=r"'sub'.*first that differs.*outputs agree"):
        spoiled(cancelling(), "sub", 1 + 5 * bound).verify(X)


def examples() -> list[LayerExample]:
    """An example of every option of every layer that computes something."""
    return [one for one in layer_examples() if one.layer.arity != 0]


def graph_of(example: LayerExample) -> Graph:
    """A layer between its inputs and nothing."""
    names = [f"x{i}" for i in range(len(example.shapes))]
    nodes = [GraphNode(n, Input(s)) for n, s in zip(names, example.shapes, strict=True)]
    return Graph((*nodes, GraphNode("layer", example.layer, tuple(names), "layer")), {"y": "layer"})


@pytest.mark.parametrize(
    ("example", "precision"), in_turn(examples(), ["float32", "float16", "float64"])
)
def test_bounds_of_every_layer(example: LayerExample, precision: str) -> None:
    """A layer that rounds what it reads and makes stays within its bound, which is not wide.

    Of what jumps, such as a threshold, a bound may be as wide as the jump.
    """
    graph = graph_of(example)
    dtype = np.dtype(precision)
    values = example_inputs(example.shapes)
    inputs = {f"x{i}": np.abs(v) + 0.5 for i, v in enumerate(values)}
    exact = evaluate_all(graph, inputs)

    def rounded(name: str, value: NDArray) -> NDArray:
        return value.astype(dtype).astype(np.float64)

    fed = {name: rounded(name, value) for name, value in inputs.items()}
    error = relative_error(exact["layer"], evaluate_all(graph, fed, rounded)["layer"])
    bound = rounding_bounds(graph, inputs, exact, precision)["layer"]

    function = getattr(example.layer, "function", "")
    jumps = function in CURVES and CURVES[function].jumps
    assert error <= (1.0 if jumps else 0.5) * bound
    assert bound < 500 * UNITS[precision] or (jumps and bound < 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "example", one_of_each(examples(), lambda one: one.layer.kind), ids=lambda one: one.id
)
def test_every_layer_is_found_where_it_is_wrong(example: LayerExample) -> None:
    """Off by three times what rounding explains it is named; by a third it is not."""
    conversion = sw.convert(graph_of(example))
    conversion.source = replace(conversion.source, precision="float32")
    inputs = {f"x{i}": np.abs(v) + 0.5 for i, v in enumerate(example_inputs(example.shapes))}
    if isinstance(example.layer, Lookup):
        inputs = random_inputs(conversion.graph, 0)
    exact = evaluate_all(conversion.graph, inputs)
    bound = rounding_bounds(conversion.graph, inputs, exact, "float32")["layer"]

    assert spoiled(conversion, "layer", 1 + bound / 3).verify(inputs)
    with pytest.raises(VerificationError, match=r"'layer' .* is the first that differs"):
        spoiled(conversion, "layer", 1 + 3 * bound).verify(inputs)


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.id)
def test_values_of_every_layer_are_their_own_sums(example: LayerExample) -> None:
    """On inputs of many sizes no value of the network is off by more than its own terms explain."""
    rng = np.random.default_rng(1)
    conversion = sw.convert(graph_of(example))
    inputs = random_inputs(conversion.graph, 0)
    if not whole_inputs(conversion.graph):
        inputs = {n: np.abs(v) * 10.0 ** rng.uniform(-3, 1, v.shape) for n, v in inputs.items()}
    network = network_values(conversion.canonical, inputs)
    found = list(sum_errors(conversion.canonical, network))
    layers = [node for node in conversion.canonical if node.layer.linear and node.inputs]
    assert {node.name for node in layers if node.name in network} <= {one.node for one in found}
    for name, error, bound in found:
        assert error <= bound, name


def test_bounds_follow_the_precision() -> None:
    """Between half and double precision they are as far apart as the precisions."""
    graph = models.residual()
    inputs = random_inputs(graph, 0)
    exact = evaluate_all(graph, inputs)
    bounds = {p: rounding_bounds(graph, inputs, exact, p) for p in UNITS}

    for name in exact:
        sizes = [bounds[p][name] for p in ("float64", "float32", "float16", "bfloat16")]
        assert sizes == sorted(sizes)
        assert 0.1 < sizes[1] / sizes[0] * 2.0**-29 < 10


def test_numbers_of_rows_are_not_rounded() -> None:
    """They are whole in every precision, and another row is no rounding error."""
    table = Lookup(np.random.default_rng(0).normal(size=(5000, 3)))
    moved, rows = GraphNode("moved", Reshape((2, 2)), ("x",)), GraphNode("rows", table, ("moved",))
    graph = Graph((GraphNode("x", Input((4,))), moved, rows), {"y": "rows"})
    inputs = random_inputs(graph, 0)

    bounds = rounding_bounds(graph, inputs, evaluate_all(graph, inputs), "bfloat16")

    assert bounds["moved"] == bounds["x"] == 0.0 < bounds["rows"] < 0.1


def test_a_mask_is_not_rounded() -> None:
    """What is computed of whole numbers without rounding hides no error of what it is added to."""
    lowest = float(np.finfo(np.float32).min)
    hidden = GraphNode("hidden", ScaleShift(np.array(-lowest), np.array(lowest)), ("mask",))
    scores = GraphNode("scores", ScaleShift(np.array(0.3), np.array(0.1)), ("x",))
    added = GraphNode("added", Add(), ("scores", "hidden"))
    shares = GraphNode("shares", Activation("softmax"), ("added",))
    inputs = {"mask": Input((6,)), "x": Input((6,))}
    nodes = (
        *(GraphNode(name, layer) for name, layer in inputs.items()),
        hidden,
        scores,
        added,
        shares,
    )
    graph = Graph(nodes, {"y": "shares"})
    x = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32).astype(np.float64)
    given = {"x": x, "mask": np.array([[1.0] * 6, [1.0] * 3 + [0.0] * 3])}

    bounds = rounding_bounds(graph, given, evaluate_all(graph, given), "float32")

    assert bounds["mask"] == bounds["hidden"] == 0.0 < bounds["scores"]
    assert 0 < bounds["shares"] < 100 * SINGLE


def test_infinities_that_are_equal_are_nothing_apart() -> None:
    """And one that is not, or a number that is none, is a difference that no bound explains."""
    inf, nan = math.inf, math.nan
    assert relative_error(np.array([-inf, 2.0]), np.array([-inf, 1.0])) == 0.5
    assert relative_error(np.array([1.0, inf]), np.array([1.0, 2.0])) == inf
    assert math.isnan(relative_error(np.array([1.0, nan]), np.array([1.0, 2.0])))
    assert relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert relative_error(np.zeros(3), np.zeros(4)) == inf
    assert not Difference("a", "b", "c", nan, inf).agrees


# --- readers that are wrong ----------------------------------------------------------------------


def spoiled(conversion: sw.Conversion, layer: str, factor: float) -> sw.Conversion:
    """The conversion, with a source of which one layer gives something else."""
    source = conversion.source

    def activations(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        found = source.activations(inputs)
        return {**found, layer: factor * found[layer]}

    made = conversion.replace()
    made.source = replace(source, activations=activations)
    return made


def misread(source: Source, name: str, change: Callable[[Any], Any]) -> sw.Conversion:
    """What a reader would give that reads one layer wrongly, converted."""
    graph = source.graph
    nodes = tuple(replace(n, layer=change(n.layer)) if n.name == name else n for n in graph)
    wrong = Graph(nodes, graph.outputs, graph.aliases)
    arguments = Wanted(sw.convert(models.mlp()).arguments)
    return ConvertibleModel(sw.Conversion, replace(source, graph=wrong)).converted(arguments)


def one_weight(layer: Any) -> Any:
    """The layer with another number in the middle of its largest array."""
    name, array = max(layer.arrays().items(), key=lambda item: item[1].size)
    changed = np.array(array)
    changed.flat[changed.size // 2] += 0.5 * np.abs(changed).max()
    return replace(layer, **{name: changed})


def slightly(layer: Any) -> Any:
    """The layer with weights that are all larger by a five-hundredth."""
    return replace(layer, **{name: 1.002 * np.array(a) for name, a in layer.arrays().items()})


def another_function(layer: Any) -> Any:
    """The layer with a function that is not far from its own."""
    near = {"relu": "silu", "silu": "gelu", "gelu": "silu", "tanh": "softsign", "sigmoid": "tanh"}
    return Activation(near[layer.function])


def network() -> nn.Module:
    """Convolutions, recurrence, attention and dense layers, one behind the other."""
    torch.manual_seed(1)

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6)
            self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
            self.rnn = nn.GRU(8, 6, batch_first=True)
            self.attention = nn.TransformerEncoderLayer(6, 2, 9, batch_first=True)
            self.head = nn.Sequential(nn.Linear(6, 7), nn.SiLU(), nn.Linear(7, 3), nn.Tanh())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.norm(self.conv1(x)))
            h = self.conv2(h).flatten(2).transpose(1, 2)[:, :2]
            h = self.attention(self.rnn(h)[0])
            y: torch.Tensor = self.head(h[:, -1])
            return y

    return Mixed().eval()


IMAGES = np.random.default_rng(3).normal(size=(3, 2, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("change", [one_weight, slightly, another_function])
def test_a_layer_that_is_read_wrongly_is_named(change: Callable[[Any], Any]) -> None:
    """Whichever it is, and however deep: nothing before it is blamed, and it is not missed."""
    source = read(network(), IMAGES)
    seen = source.activations({"x": IMAGES})
    functions = ("relu", "silu", "gelu", "tanh", "sigmoid")
    tried = 0
    for node in source.graph:
        if change is another_function:
            fits = isinstance(node.layer, Activation) and node.layer.function in functions
        else:
            fits = any(np.issubdtype(a.dtype, np.floating) for a in node.layer.arrays().values())
        if not fits or node.name not in seen:
            continue
        with pytest.raises(VerificationError) as caught:
            misread(source, node.name, change).verify(IMAGES)
        named = str(caught.value).split("'")[1]
        assert named == (node.source or node.name), str(caught.value)
        tried += 1
    assert tried >= 3


# --- the model's own call ------------------------------------------------------------------------


def mixing(conversion: sw.Conversion) -> sw.Conversion:
    """The conversion of a model that adds to every sample the mean of all, less its own."""
    source = conversion.source

    def call(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return {n: v + v.mean(0) - v for n, v in source.call(inputs).items()}

    conversion.source = replace(source, call=call)
    return conversion


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_a_model_that_mixes_samples_is_found_out(samples: int) -> None:
    """Its layers agree one by one, as reader and activations take the same axis for the batch; its
    own call does not, even of a single sample, which is called with another beside it.
    """
    with pytest.raises(VerificationError, match=r"'output'.*every layer agrees.*mixes samples"):
        mixing(cancelling()).verify(X[:samples])


def test_a_shape_that_fits_one_number_of_samples_is_found_out() -> None:
    """An output may have a row a sample for the number that is verified, and for no other."""
    conversion = cancelling()
    source = conversion.source

    def call(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return {n: v if len(v) == 6 else v.reshape(1, -1) for n, v in source.call(inputs).items()}

    conversion.source = replace(source, call=call)
    with pytest.raises(VerificationError, match=r"'output'.*has another shape"):
        conversion.verify(np.concatenate([X, X])[:6])


def test_outputs_that_differ_of_a_sample_alone_are_told_apart() -> None:
    """Then it is not the batch that is at fault."""
    conversion = cancelling()
    source = conversion.source
    conversion.source = replace(
        source, call=lambda x: {n: 1.1 * v for n, v in source.call(x).items()}
    )
    with pytest.raises(
        VerificationError, match=r"'output'.*off by 0\.09.*A sample alone differs too"
    ):
        conversion.verify(X)


def test_a_model_that_cannot_be_called_says_why() -> None:
    """Whatever its framework raises."""
    conversion = cancelling()

    def call(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        raise RuntimeError("out of order")

    conversion.source = replace(conversion.source, call=call)
    with pytest.raises(VerificationError, match=r"cannot be called on 5 samples.*out of order"):
        conversion.verify(X)


# --- precisions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_are_compared_in_their_own_precision(dtype: Any) -> None:
    """A network of halves differs by what halves explain; the record says so, and what is wrong is
    found still.
    """
    module = network().to(dtype)
    conversion = sw.convert(module, example_input=IMAGES)
    found = conversion.verify(IMAGES)
    name = str(dtype).removeprefix("torch.")

    assert f" in {name} " in str(found)
    errors = [d.error for d in found.differences if d.compared == "the graph that was read"]
    if dtype is torch.float64:
        assert max(errors) < 1e-12
    else:
        assert max(errors) > 1e-4
        with pytest.raises(VerificationError):
            conversion.verify(IMAGES, rtol=1e-4)
    assert all(d.bound < 0.5 for d in found.differences)
    with pytest.raises(VerificationError, match=r"'conv2' .* is the first that differs"):
        spoiled(conversion, "conv2", 1.3).verify(IMAGES)


@pytest.mark.parametrize("scale", [1e-3, 1e-5, 3e-6, 1e-6])
def test_halves_below_their_normal_range(scale: float) -> None:
    """Next to nothing of such a value is left in the source: rounding explains it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4))
    with torch.no_grad():
        model[0].weight.mul_(scale)
        model[0].bias.mul_(scale)
    x = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(1)).half()
    found = sw.convert(model.half(), example_input=x).verify(x)
    of_source = [d for d in found.differences if d.bound and d.compared != OWN_SUM]
    assert max(d.error / d.bound for d in of_source) < 0.5
    lost = max(d.error for d in found.differences if d.layer == "1 Hardswish")
    assert lost > (1e-4 if scale > 1e-4 else 1e-3)


def test_overflow_in_the_source_is_said() -> None:
    """A half ends at 65504: beyond it is no rounding but infinity."""
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).half()
    with torch.no_grad():
        model[0].weight.mul_(60000)
        model[2].weight.mul_(60000)
    with pytest.raises(VerificationError, match=r"infinity"):
        sw.convert(model, example_input=X[:2]).verify(X)


def test_the_rate_network_is_bounded_by_its_own_precision() -> None:
    """Weights of a network are on a grid of single precision, whatever those of the source."""
    graph = models.mlp()
    conversion = sw.convert(graph)
    nodes = [
        replace(n, layer=slightly(n.layer))
        if isinstance(n.layer, Affine) and n.name == "fc2"
        else n
        for n in conversion.canonical
    ]
    assert max(conversion.verify().values()) < 10 * SINGLE
    conversion.canonical = Graph(tuple(nodes), conversion.canonical.outputs)
    with pytest.raises(
        VerificationError, match=r"'(fc2|act2)' .*the rate network is off by 0\.002"
    ):
        conversion.verify()
