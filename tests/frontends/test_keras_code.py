"""Python code in Keras models: read from the operators that it runs, on the torch backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_agrees, functional, keras, layers, randomise

import spikewright as sw
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.keras import read
from spikewright.graph import evaluate

L, ops = layers, keras.ops


class Gated(L.Layer):
    """Weights of its own."""

    def build(self, shape: Any) -> None:
        self.slope = self.add_weight(shape=shape[-1:], name="slope")

    def call(self, x: Any, power: int = 1) -> Any:
        """x times a power of the sigmoid of a weighted x."""
        return x * ops.sigmoid(self.slope * x) ** power

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape


class Block(L.Layer):
    """Layers inside a layer, two of them in a list; channels are last."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.window = L.Conv2D(3, (2, 3), strides=2, padding="same", name="conv")
        self.norm = L.BatchNormalization(name="norm")
        self.rest = [L.Dense(3, activation="relu", name="dense"), Gated(name="gated")]

    def call(self, x: Any, training: bool = True) -> Any:
        """One after the other."""
        y = self.norm(self.window(x), training=training)
        for layer in self.rest:
            y = layer(y)
        return y - 1


class Halves(L.Layer):
    """Two outputs by name, in another order than that of their names, and an option."""

    def call(self, x: Any, parts: int = 2) -> Any:
        """The first part, and the others."""
        n = x.shape[-1] // parts
        return {"second": x[..., n:], "first": 3 * x[..., :n]}


class Rows(L.Layer):
    """Token numbers and real numbers."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.table = L.Embedding(7, 4, name="table")

    def call(self, tokens: Any, factor: Any) -> Any:
        """Rows, each value times a factor."""
        return self.table(tokens) * factor


class Cell(L.Layer):
    """A recurrent cell."""

    state_size = 3

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 3))

    def call(self, x: Any, states: Any, training: Any = None) -> Any:
        """The new state is the output."""
        new = ops.tanh(ops.matmul(x, self.kernel) + 0.5 * states[0])
        return new, [new]


class Tower(keras.Model):
    """A whole model in code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.block = Block(name="block")
        self.head = L.Dense(2, name="head")

    def call(self, x: Any) -> Any:
        """The block, the largest values, a head."""
        return self.head(ops.max(self.block(x), axis=(1, 2)))


def halved(x: Any) -> Any:
    """A model with the layer of two outputs in it."""
    found = Halves(name="odd")(x, parts=3)
    return L.Concatenate()([found["second"], L.Dense(2)(found["first"])])


CODE: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], set[str]]] = {
    "a function": (L.Lambda(lambda x: 2 * x + ops.tanh(x), name="odd"), ((3, 4),), set()),
    "weights": (Gated(name="odd"), ((3, 4),), set()),
    "layers": (Block(name="odd"), ((6, 5, 4),), {"odd/conv", "odd/norm", "odd/gated"}),
    "two outputs": (halved, ((6,),), {"odd_1"}),
    "two inputs": (L.Lambda(lambda z: z[0] - 2 * z[1], name="odd"), ((4,),) * 2, set()),
    "an activation": (L.Dense(4, activation=lambda x: x * ops.tanh(x), name="odd"), ((3,),), set()),
    "a cell": (L.RNN(Cell(name="cell"), name="odd"), ((3, 2),), {"odd/cell"}),
    "at every step": (L.TimeDistributed(Gated(name="own"), name="odd"), ((3, 4),), {"odd/own"}),
    "convolutions in time": (L.ConvLSTM1D(2, 2, name="odd"), ((3, 4, 2),), set()),
    "a model": (Tower(name="odd"), ((6, 5, 4),), {"odd/block/dense", "odd/head"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CODE)
def test_code_is_read_as_what_it_computes(name: str) -> None:
    """In a functional model, under the names of Keras, with the layout of Keras."""
    layer, shapes, inside = CODE[name]
    source = assert_agrees(functional(layer, *shapes))
    assert {"odd", *inside} <= {node.name for node in source.graph}


def test_the_network_of_code_verifies_and_spikes() -> None:
    """Neuron types are chosen by the names of layers inside, as anywhere."""
    model = functional(Tower(name="odd"), (6, 5, 4))
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 4)).astype(np.float32)
    sw.convert(model).verify(x)
    kinds = {"odd/block/dense": sw.BipolarIntegrateAndFire()}
    spiking = sw.convert(model, spiking=kinds, scale_firing_rates=1000)
    layer = spiking.layers["odd/block/dense"]
    assert isinstance(layer.neuron_type, sw.BipolarIntegrateAndFire)


class Compares(L.Layer):
    """Python's operators between weights, values and numbers."""

    def build(self, shape: Any) -> None:
        self.low = self.add_weight(shape=shape[-1:], name="low")

    def call(self, tokens: Any) -> Any:
        """A weight times values, where a token is, or is not, a number."""
        x = ops.cast(tokens, "float32")
        return ops.where(tokens == 1, self.low * x, self.low - x) + ops.cast(tokens != 2, "float32")


def test_operators_of_python_are_operations() -> None:
    """Between a weight and a value, and `==`, which Keras takes for `is` in a graph."""
    x = keras.Input((4,), dtype="int32", name="x")
    model = randomise(keras.Model(x, Compares(name="odd")(x)))
    source = read(model)
    tokens = np.array([[0, 1, 2, 3], [3, 2, 1, 1]])
    (found,) = evaluate(source.graph, {"x": tokens}).values()
    np.testing.assert_allclose(found, ops.convert_to_numpy(model(tokens)), rtol=1e-6)


def test_code_that_looks_for_symbols_is_not_believed() -> None:
    """What code does with numbers counts, whatever it does while it is recorded."""

    def sly(x: Any) -> Any:
        return ops.tanh(x) if ops.is_tensor(x) else ops.relu(x)

    graph = assert_agrees(functional(L.Lambda(sly, name="odd"), (3,))).graph
    assert "tanh" in {getattr(node.layer, "function", "") for node in graph}


def test_a_layer_called_twice_is_read_twice() -> None:
    """Each call is a layer."""
    layer = Gated(name="odd")
    names = [node.name for node in assert_agrees(functional(lambda x: layer(layer(x)), (4,))).graph]
    assert {"odd", "odd_1"} <= set(names)


def test_modules_of_pytorch_are_read() -> None:
    """Keras's wrapper around them is code like any other."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    layer = L.TorchModuleWrapper(module, name="odd", output_shape=(None, 4))
    x = keras.Input((3,), name="x")
    assert {"odd"} <= {node.name for node in assert_agrees(keras.Model(x, layer(x))).graph}


def test_rows_are_looked_up_in_code() -> None:
    """Token numbers are whole numbers there too, real numbers beside them stay real."""
    tokens, factor = keras.Input((5,), dtype="int32", name="t"), keras.Input((5, 4), name="f")
    model = randomise(keras.Model([tokens, factor], Rows(name="odd")(tokens, factor)))
    assert "Lookup" in {node.layer.kind for node in assert_agrees(model).graph}


def test_a_model_in_code_takes_token_numbers() -> None:
    """Beside real numbers an example tells which is which."""

    class Reader(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.rows = Rows(name="rows")

        def call(self, inputs: Any) -> Any:
            return self.rows(inputs["tokens"], inputs["factor"])

    model = Reader()
    x = {"tokens": np.zeros((2, 5), np.int32), "factor": np.ones((2, 5, 4), np.float32)}
    model(x)
    with pytest.raises(
        UnsupportedLayerError, match=r"which ones is not known. Give an example_inp"
    ):
        read(model)
    source = assert_agrees(randomise(model), x)
    assert source.graph["tokens"].layer.whole and not source.graph["factor"].layer.whole


def test_a_model_in_code_of_tokens_alone_needs_no_example() -> None:
    """Its code shows that they are whole numbers."""

    class Words(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table = L.Embedding(7, 4, name="table")

        def call(self, tokens: Any) -> Any:
            return ops.mean(self.table(tokens), axis=1)

    model = Words()
    model(np.zeros((2, 5), np.int32))
    assert assert_agrees(randomise(model)).graph["tokens"].layer.whole


class Several(keras.Model):
    """Inputs in whatever structure `pick` takes them from, and several outputs."""

    def __init__(self, pick: Callable[[Any], Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.pick = pick
        self.dense = L.Dense(3, name="dense")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The sum through a layer, and the layer of the first alone."""
        first, second = self.pick(inputs)
        return {"sum": self.dense(first + second), "first": self.dense(first)}


class Arguments(keras.Model):
    """Two arguments of its call."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(3, name="dense")

    def call(self, left: Any, right: Any) -> Any:
        """A difference."""
        return self.dense(left) - right


ONE, OTHER = np.random.default_rng(3).normal(size=(2, 4, 3)).astype(np.float32)
STRUCTURES: dict[str, tuple[Callable[[Any], Any], Any, tuple[str, ...]]] = {
    "list": (lambda x: x, [ONE, OTHER], ("inputs_0", "inputs_1")),
    "dict": (lambda x: (x["u"], x["v"]), {"u": ONE, "v": OTHER}, ("u", "v")),
    "nested": (lambda x: (x["a"][0], x["b"]), {"a": [ONE], "b": OTHER}, ("inputs_a_0", "b")),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_model_in_code_is_read_whole(name: str) -> None:
    """Its shapes are known from its calls, and inputs come as it takes them."""
    pick, x, inputs = STRUCTURES[name]
    model = Several(pick)
    model(x)
    source = assert_agrees(randomise(model))
    assert source.graph.inputs == inputs
    assert not any(source.graph[name].layer.whole for name in inputs)
    assert set(source.graph.outputs) == {"sum", "first"}
    assert read(model, x).graph.inputs == inputs
    sw.convert(model).verify(x)


def test_a_model_with_several_arguments_is_read() -> None:
    """The example says what they are, in order or by name."""
    model = Arguments()
    model(ONE, OTHER)
    for example in ([ONE, OTHER], {"right": OTHER, "left": ONE}):
        source = assert_agrees(model, example)
        assert set(source.graph.inputs) == {"left", "right"}
    sw.convert(model, example_input=[ONE, OTHER]).verify([ONE, OTHER])
    with pytest.raises(ReadError, match=r"Arguments\.call takes left, right"):
        read(model, ONE)


def test_a_functional_model_with_a_call_of_its_own_is_what_it_computes() -> None:
    """Its graph of layers is not."""

    class Doubled(keras.Model):
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return 2 * super().call(inputs)

    x = keras.Input((3,))
    source = assert_agrees(randomise(Doubled(x, L.Dense(2, name="inner")(x))))
    assert source.graph["inner"].layer is not source.graph.outputs


def test_code_without_a_module_is_read() -> None:
    """A method that `exec` defines in a namespace without a name is of no module."""
    model = Arguments()
    defined: dict[str, Any] = {}
    exec("def call(self, left, right):\n    return self.dense(left) - 2 * right", defined)
    model.__class__ = type("Executed", (Arguments,), {"call": defined["call"]})
    assert defined["call"].__module__ is None
    model(ONE, OTHER)
    assert_agrees(model, [ONE, OTHER])


def middle(x: Any) -> Any:
    """The median of every sample's last axis, which no reader reads."""
    return ops.median(x, axis=-1, keepdims=True)


@pytest.mark.slow
def test_layers_of_a_model_in_code_may_be_its_outputs() -> None:
    """Those without layers inside, by their names in Keras; what is behind is cut, unseen."""

    class Tailed(Tower):
        def call(self, x: Any) -> Any:
            return middle(super().call(x))

    model = Tailed()
    model(np.zeros((2, 6, 5, 4), np.float32))
    with pytest.raises(UnsupportedLayerError, match=r"'median' \(ops.Median") as caught:
        read(model)
    met = list(caught.value.met)
    assert met[:3] == ["x", "block", "block/conv"] and met[-1] == "median"
    graph = read(model, None, ["block/gated", "head"]).graph
    assert set(graph.outputs) == {"block/gated", "head"}
    with pytest.raises(ReadError, match=r"no output, layer or tensor 'hea'. Near it are 'head'"):
        read(model, None, ["hea"])


def test_a_model_in_code_without_shapes_is_refused() -> None:
    """It has no weights before it is called, and a size that is left open is no shape."""
    x = np.zeros((2, 6, 5, 4), np.float32)
    with pytest.raises(UnsupportedLayerError, match=r"no weights yet.*model\(x\[:2\]\)"):
        read(Tower(name="new"), x)
    model = Tower(name="open")
    model(x)
    model._build_shapes_dict = {"input_shape": (None, None, 5, 4)}
    assert read(model, x).graph.inputs == ("x",)
    with pytest.raises(UnsupportedLayerError, match=r"leaves extents open.*Give an example_input"):
        read(model)


class Branches(L.Layer):
    """Code that looks at values."""

    def call(self, x: Any) -> Any:
        """The input or its negative."""
        return x if float(ops.sum(x)) > 0 else -x

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape


class Counts(L.Layer):
    """Code that remembers."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        """The input times the number of the call."""
        self.calls.assign_add(1.0)
        return x * self.calls


class Rounded(Rows):
    """Rows times rounded factors."""

    def call(self, tokens: Any, factor: Any) -> Any:
        """Which are whole, though they came as real numbers."""
        return super().call(tokens, ops.cast(ops.cast(factor, "int32"), "float32"))


REFUSED: dict[str, tuple[Callable[..., Any], str, str]] = {
    "branch": (Branches(name="odd"), "odd", "Python code, and torch.export cannot trace.*values"),
    "operator": (L.Lambda(middle, name="odd"), "odd", "sorts values"),
    "batch": (L.Lambda(lambda x: x - ops.mean(x, axis=0), name="odd"), "odd/mean", "batch axis"),
    "rows of all samples": (
        L.Lambda(lambda x: x + ops.mean(ops.reshape(x, (1, -1)), axis=1), name="odd"),
        "odd",
        "batch",
    ),
    "a function of torch": (
        L.Lambda(lambda x: x + ops.convert_to_tensor(x).flip(0), name="odd"),
        "odd",
        "batch|sample",
    ),
    "state": (Counts(name="odd"), "odd", "it changes odd/.* from call to call"),
    "foreign": (L.Dense(2, activation=np.tanh, name="odd"), "odd", "Python code, and torch.export"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_code_that_cannot_be_read_is_refused(name: str) -> None:
    """For PyTorch's reason, under the name of Keras, and with what to do."""
    layer, where, reason = REFUSED[name]
    with pytest.raises(UnsupportedLayerError, match=reason) as caught:
        read(functional(layer, (3,)))
    assert any(refusal.layer.startswith(where) for refusal in caught.value.refusals)
    assert "register a reader" in str(caught.value)


def test_real_numbers_are_not_taken_for_whole_ones() -> None:
    """Beside token numbers: what Keras knows of an input's type is kept."""
    tokens, factor = keras.Input((5,), dtype="int32", name="t"), keras.Input((5, 4), name="f")
    with pytest.raises(UnsupportedLayerError, match="'odd/cast"):
        read(keras.Model([tokens, factor], Rounded(name="odd")(tokens, factor)))


def test_refusals_of_code_are_listed_with_all_others() -> None:
    """Behind one that cannot be read too."""
    x = keras.Input((3,), name="x")
    y = L.Lambda(middle, name="second")(Branches(name="first")(x))
    with pytest.raises(UnsupportedLayerError) as caught:
        read(keras.Model(x, L.Dense(2, activation="sparsemax", name="third")(y)))
    found = [refusal.layer.partition("/")[0] for refusal in caught.value.refusals]
    assert found == ["first", "second", "third"]


class Pretending(L.Layer):
    """Changes the sign of samples with a negative sum, but not of symbolic tensors."""

    def __init__(self, sign: float) -> None:
        super().__init__(name="odd")
        self.sign = sign

    def call(self, x: Any) -> Any:
        """The samples, of which some change their sign."""
        if isinstance(x, keras.KerasTensor):
            return x
        return ops.stack([row if self.sign * float(ops.sum(row)) > 0 else -row for row in x])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_code_that_is_another_for_symbolic_tensors_is_not_believed(sign: float) -> None:
    """What it records is compared with its own call on samples of both signs."""
    with pytest.raises(ReadError):
        read(functional(Pretending(sign), (3,)))


ELSEWHERE: dict[str, Any] = {
    "a Lambda": lambda: functional(L.Lambda(abs, name="odd"), (3,)),
    "a cell": lambda: functional(L.RNN(Cell(name="cell"), name="odd"), (3, 2)),
    "an operation": lambda: functional(lambda x: ops.arcsinh(x), (3,)),
    "a model in a model": lambda: functional(tower(), (6, 5, 4)),
}


def tower() -> Any:
    """A model in code that has been called."""
    made = Tower(name="odd")
    made(np.zeros((2, 6, 5, 4), np.float32))
    return made


@pytest.mark.parametrize("name", ELSEWHERE)
def test_on_other_backends_code_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the backend on which it is read, and what else would do."""
    model = ELSEWHERE[name]()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UnsupportedLayerError, match="KERAS_BACKEND=torch") as caught:
        read(model)
    (refusal,) = caught.value.refusals
    assert refusal.layer.rstrip("_0123456789") == ("arcsinh" if name == "an operation" else "odd")
