"""`fallback="python"`: what cannot be read is called as it is, in every front end that has code."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import slow_but
from spikewright.errors import (
    ConversionError,
    GraphError,
    NetworkError,
    ReadError,
    UnsupportedLayerError,
)
from spikewright.frontends import read
from spikewright.frontends.fallback import CannotCall, python_call
from spikewright.frontends.keras import code
from spikewright.graph import Graph, GraphNode
from spikewright.graph import save as save_graph
from spikewright.graph.layers import Input, PythonCall
from spikewright.network import node_functions as f
from spikewright.testing.states import left_as_it_was

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")
L, ops, nn = keras.layers, keras.ops, torch.nn

RNG = np.random.default_rng(5)
X = RNG.normal(size=(7, 6)).astype(np.float32)


class Flipped(L.Layer):
    """Keras code that looks at values, sample by sample."""

    def call(self, x: Any) -> Any:
        """Rows whose sum is below zero change their sign."""
        if isinstance(x, keras.KerasTensor):
            return x
        return ops.stack([row if float(ops.sum(row)) > 0 else -row for row in x])

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape


class Tower(keras.Model):
    """A whole Keras model in code, a layer of which looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.first = L.Dense(5, activation="relu", name="first")
        self.odd = Flipped(name="odd")
        self.last = L.Dense(3, name="last")

    def call(self, x: Any) -> Any:
        """One after the other."""
        return self.last(self.odd(self.first(x) - 0.3))


class Looking(nn.Module):
    """PyTorch code that looks at values, with an option and two results."""

    def forward(self, x: Any, sign: int = 1) -> Any:
        """Rows whose sum is below zero change their sign; and their sums."""
        rows = torch.stack([row if float(row.sum()) > 0 else -row for row in x])
        return sign * rows, rows.sum(1, keepdim=True)


class Between(nn.Module):
    """A network around a part without a reading."""

    def __init__(self, odd: Callable[[Any], Any] | nn.Module) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)
        self.odd = odd

    def forward(self, x: Any) -> Any:
        """The part between two layers."""
        return self.last(self.odd(torch.relu(self.first(x)) - 0.3))


class Halves(nn.Module):
    """Calls the same part twice, and uses whole numbers that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.odd = Looking()

    def forward(self, x: Any) -> Any:
        """Both results of two calls, and positions by size."""
        one, total = self.odd(x, sign=-1)
        two, _ = self.odd(one * 2)
        values, positions = torch.cummax(two, dim=1)
        return values + total + positions.float() / 3


def _functional(layer: Any) -> Any:
    x = keras.Input((6,), name="x")
    y = L.Dense(5, activation="relu", name="first")(x) - 0.3
    return keras.Model(x, L.Dense(3, name="last")(layer(y)))


def _tower() -> Any:
    model = Tower()
    model(X)
    return model


def _products(x: Any) -> Any:
    """The product of every value and of those before it."""
    return ops.cumprod(x, axis=1)


@dataclass(frozen=True)
class Case:
    """A model with parts that cannot be read, and the layers that call these."""

    make: Callable[[], Any]
    called: set[str]
    traced: bool = True


CASES = {
    "keras code": Case(lambda: _functional(Flipped(name="odd")), {"odd"}),
    "keras operator in code": Case(
        lambda: _functional(L.Lambda(_products, name="odd")), {"odd/cumprod"}
    ),
    "keras model in code": Case(_tower, {"odd"}),
    "keras on another backend": Case(lambda: _functional(Flipped(name="odd")), {"odd"}, False),
    "torch operator": Case(lambda: Between(lambda x: torch.cumprod(x, 1)), {"cumprod"}),
    "torch batch elsewhere": Case(
        lambda: Between(lambda x: torch.cumprod(x.t(), 0).t()), {"cumprod"}
    ),
    "torch module": Case(lambda: Between(nn.Sequential(Looking(), _First())), {"odd.0 Looking"}),
    "torch calls": Case(Halves, {"odd", "odd_1", "odd_2", "cummax", "cummax_1"}),
}


class _First(nn.Module):
    def forward(self, results: Any) -> Any:
        return results[0]


def _answers(model: Any) -> NDArray:
    with torch.no_grad():
        made = model(torch.from_numpy(X)) if isinstance(model, nn.Module) else model(X)
    return np.asarray(made.detach())


@pytest.fixture(params=slow_but(("keras code", "torch operator", "torch calls"), CASES))
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Every case, on the backend that it is about; Keras counts its names from the start."""
    keras.utils.clear_session()
    found = CASES[request.param]
    if not found.traced:
        monkeypatch.setattr(code, "can_trace", lambda layer: False)
    return found


def _convert(model: Any, **arguments: Any) -> Any:
    keras_model = isinstance(model, keras.Model)
    return sw.convert(model, example_input=None if keras_model else X[:2], **arguments)


def test_without_it_the_layers_are_refused(case: Case) -> None:
    """The error names what would call them."""
    with pytest.raises(ReadError, match='fallback="python"'):
        _convert(case.make())


def test_the_rate_network_is_the_source(case: Case) -> None:
    """On every engine; every layer that calls code is in the trace, and no other."""
    model = case.make()
    conversion = _convert(model, fallback="python")
    conversion.verify(X)
    wanted = _answers(model)
    assert np.ptp(wanted) > 0.1
    for engine in ("reference", "native", "torch"):
        found = conversion.run(X, steps=3, engine=engine).predict()
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    marked = {entry.layer for entry in conversion.trace if "Python code" in entry.text}
    assert marked == case.called
    assert conversion.trace.guarantee == "exact"
    calls = {node.name for node in conversion.graph if isinstance(node.layer, PythonCall)}
    assert calls == case.called


def test_no_file_holds_it(case: Case, tmp_path: Path) -> None:
    """Neither of the conversion, nor a pickle, nor of its graph or network: by name."""
    conversion = _convert(case.make(), fallback="python")
    for store in (conversion.save, lambda path: pickle.dumps(conversion)):
        with pytest.raises(NetworkError) as caught:
            store(tmp_path / "conversion")
        assert all(repr(name) in str(caught.value) for name in case.called)
    with pytest.raises(GraphError, match="a file is data"):
        save_graph(conversion.graph, tmp_path / "graph")
    with pytest.raises(NetworkError, match="cannot be saved"):
        sw.network.save(conversion.network, tmp_path / "network")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["keras operator in code", "torch batch elsewhere"])
def test_spiking_it_follows_the_means(name: str) -> None:
    """Where the code is continuous the error falls with the steps; nothing is promised."""
    model = CASES[name].make()
    conversion = _convert(model, fallback="python", spiking=True, scale_firing_rates=100)
    few, many = (
        np.abs(conversion.run(X, steps=steps).predict() - _answers(model)).mean()
        for steps in (20, 400)
    )
    assert many < few / 4
    assert conversion.trace.guarantee == "approximated"
    (entry,) = [e for e in conversion.trace.warnings if "Python code" in e.text]
    assert "no file holds it" in entry.text


def test_it_is_measured_and_converted_again() -> None:
    """As any network is, by rules that look at data too."""
    conversion = _convert(CASES["torch operator"].make(), fallback="python")
    again = conversion.replace(
        spiking=True, scale_firing_rates=sw.MinimumError(steps=8, spikes_per_step=1), calibration=X
    )
    assert again.trace.guarantee == "approximated"
    evaluation = again.evaluate(X, y=np.zeros(len(X), int), steps=8, operations=True)
    assert "accuracy" in {record.name for record in evaluation.records}


class Counting(L.Layer):
    """Code that remembers its calls."""

    calls = 0

    def call(self, x: Any) -> Any:
        """The input, shifted by their number."""
        Counting.calls += 1
        return float(ops.sum(x)) * 0 + x + Counting.calls


def _centred(x: Any) -> Any:
    """The mean over everything, samples included, as a number."""
    return x if isinstance(x, keras.KerasTensor) else x - float(ops.mean(x))


class Remembering(nn.Module):
    """PyTorch code that looks at values, and remembers its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen = 0, []

    def forward(self, x: Any) -> Any:
        """The input, shifted by their number."""
        self.calls += 1
        return float(x.sum()) * 0 + x + self.calls


class Noisy(nn.Module):
    """PyTorch code that looks at values, and draws numbers."""

    def forward(self, x: Any) -> Any:
        """The input with noise."""
        return float(x.sum()) * 0 + x + torch.randn_like(x)


REFUSED = {
    "mixes samples": (lambda: _functional(L.Lambda(_centred, name="odd")), "beside it"),
    "changes": (lambda: _functional(Counting(name="odd")), "the next time"),
    "changes in PyTorch": (lambda: Between(Remembering()), "earlier inputs"),
    "draws": (lambda: Between(Noisy()), "the next time"),
    "mixes in an operator": (lambda: Between(lambda x: torch.cumprod(x, 0)), "beside it"),
    "complex": (lambda: Between(lambda x: torch.fft.fft(x, dim=1).real), "complex"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_called_is_refused(name: str) -> None:
    """With the reason why it is not read, and that it cannot be called either."""
    make, reason = REFUSED[name]
    with pytest.raises(UnsupportedLayerError, match=reason):
        _convert(make(), fallback="python")


class Counted(Looking):
    """Counts its calls, which changes no result, and writes what it has seen into a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen = 0, [0]
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x: Any, sign: int = 1) -> Any:
        """As its parent."""
        self.calls += 1
        self.seen.append(self.calls)
        self.last.copy_(x.sum())
        return super().forward(x, sign)[0]


def test_calls_leave_the_model_as_it_was() -> None:
    """When it is tried, verified and run: the part in its own mode, its counts and its buffers."""
    model = Between(Counted()).train()
    model.odd.eval()
    with left_as_it_was(model):
        conversion = _convert(model, fallback="python")
    with left_as_it_was(model):
        conversion.verify(X)
    with left_as_it_was(model):
        conversion.run(X, steps=3, progress=False)


@pytest.mark.parametrize("fallback", [None, "python"])
def test_masks_are_one_refusal_still(fallback: Any) -> None:
    """A layer that is called would lose its mask, so that is offered to none that looks at one."""
    x = keras.Input((4, 3))
    model = keras.Model(x, L.GRU(2, activation="sparsemax", name="mask")(L.Masking()(x)))
    with pytest.raises(UnsupportedLayerError) as caught:
        sw.convert(model, fallback=fallback)
    (refusal,) = caught.value.refusals
    assert refusal.layer == "mask" and not refusal.callable


def test_a_call_that_fails_says_how() -> None:
    """What a function raises is the reason."""

    def broken(x: NDArray) -> NDArray:
        raise ZeroDivisionError("no")

    with pytest.raises(CannotCall, match=r"fails \(ZeroDivisionError: no\)"):
        python_call(broken, [(3,)], [False], "broken")
    with pytest.raises(CannotCall, match="samples do not stay apart"):
        python_call(lambda x: x.sum(0), [(4,)], [False], "sum")


def test_only_live_code_is_called(tmp_path: Path) -> None:
    """Files run none, an exported program and an operator of ONNX are data."""
    model = Between(lambda x: torch.cumprod(x, 1)).eval()
    program = torch.export.export(model, (torch.from_numpy(X),))
    with pytest.raises(UnsupportedLayerError, match="cumprod") as caught:
        sw.convert(program, fallback="python")
    assert 'fallback="python"' not in str(caught.value)
    torch.export.save(program, path := tmp_path / "model.pt2")
    with pytest.raises(ReadError, match="a file runs no code"):
        sw.convert(path, fallback="python")
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Det", ["x"], ["y"])
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "g", [value("x", 1, ["n", 2, 2])], [value("y", 1, ["n"])]
    )
    with pytest.raises(ReadError, match="an operator of ONNX is data"):
        sw.convert(onnx.helper.make_model(graph), fallback="python")


def test_there_is_one_fallback() -> None:
    """Another value is an error that names it."""
    with pytest.raises(ConversionError, match="'fallback': it is None or \"python\", got 'nengo'"):
        sw.convert(_tower(), fallback="nengo")


def test_a_model_that_is_read_calls_nothing(tmp_path: Path) -> None:
    """The fallback changes nothing there: it is saved, and converted again when loaded."""
    model = Between(torch.tanh)
    conversion = _convert(model, fallback="python")
    assert not any(isinstance(node.layer, PythonCall) for node in conversion.graph)
    conversion.save(path := tmp_path / "conversion")
    loaded = sw.load(path).replace(spiking=True, scale_firing_rates=50)
    assert loaded.trace.guarantee == "convergent"
    assert loaded.replace(fallback=None).graph is not None


def test_the_layer_and_the_function_check_shapes() -> None:
    """They take what the code was tried with."""
    layer = python_call(lambda x, y: x[:, :2] * y, [(3,), (2,)], [False, False], "product")
    assert layer.output_shape((3,), (2,)) == (2,)
    with pytest.raises(GraphError, match="product"):
        layer.output_shape((4,), (2,))
    function = f.PythonCall(layer.function, layer.shapes, layer.made, layer.called)
    assert function.output_shape((5,)) == (2,)
    with pytest.raises(NetworkError, match="product"):
        function.output_shape((6,))


def test_graphs_are_read_as_they_are() -> None:
    """A graph with such a layer computes what it calls."""
    layer = python_call(lambda x: np.sort(x, axis=1), [(6,)], [False], "sort")
    source = read(_graph(layer))
    (found,) = source.call({"x": X}).values()
    np.testing.assert_allclose(found, np.sort(X, axis=1))


def _graph(layer: PythonCall) -> Any:
    return Graph((GraphNode("x", Input((6,))), GraphNode("y", layer, ("x",))), {"y": "y"})
