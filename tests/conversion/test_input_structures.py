"""Inputs in the structure that the source's own call takes, wherever inputs are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import spikewright as sw
from spikewright.errors import ConversionError, SimulationError

RNG = np.random.default_rng(0)
A = RNG.standard_normal((48, 3)).astype(np.float32)
B = RNG.standard_normal((48, 2)).astype(np.float32)
Y = RNG.integers(0, 4, 48)
RUN = {"steps": 4, "progress": False}


class _Pair(NamedTuple):
    image: Any
    text: Any


class _Torch(nn.Module):
    """Two inputs in what `forward` is given, as `take` finds them there."""

    def __init__(self, take: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.take, self.hidden, self.out = take, nn.Linear(5, 6), nn.Linear(6, 4)

    def network(self, *given: Any, **named: Any) -> torch.Tensor:
        return self.out(torch.relu(self.hidden(torch.cat(self.take(*given, **named), 1))))


class _Positional(_Torch):
    def forward(self, image: torch.Tensor, text: torch.Tensor, mask: Any = None) -> torch.Tensor:
        return self.network(image, text)


class _Nested(_Torch):
    def forward(self, batch: Any) -> torch.Tensor:
        return self.network(batch)


class _Starred(_Torch):
    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return self.network(*parts)


def _keras(wrap: Callable[[Any, Any], Any]) -> Any:
    keras.utils.set_random_seed(0)
    image, text = keras.Input((3,), name="image"), keras.Input((2,), name="text")
    hidden = keras.layers.Dense(6, "relu")(keras.layers.Concatenate()([image, text]))
    return keras.Model(wrap(image, text), keras.layers.Dense(4)(hidden))


def _onnx() -> Any:
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((5, 4)).astype(np.float32)}
    nodes = [
        helper.make_node("Concat", ["image", "text"], ["both"], axis=1),
        helper.make_node("Relu", ["both"], ["active"]),
        helper.make_node("MatMul", ["active", "w"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in (("image", 3), ("text", 2), ("y", 4))
    ]
    held = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "two", ends[:2], ends[2:], held))


FORMS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any]]] = {
    "torch, tuple": (lambda: _Positional(lambda a, b: (a, b)), lambda a, b: (a, b)),
    "torch, list": (lambda: _Positional(lambda a, b: (a, b)), lambda a, b: [a, b]),
    "torch, by name": (
        lambda: _Positional(lambda a, b: (a, b)), lambda a, b: {"text": b, "image": a},
    ),
    "torch, one left out": (lambda: _Positional(lambda a, b: (a, b)), lambda a, b: (a, b, None)),
    "torch, starred": (lambda: _Starred(lambda a, b: (a, b)), lambda a, b: (a, b)),
    "torch, one list": (lambda: _Nested(lambda both: tuple(both)), lambda a, b: [a, b]),
    "torch, one dict": (
        lambda: _Nested(lambda d: (d["image"], d["more"]["text"][0])),
        lambda a, b: {"image": a, "more": {"text": [b]}},
    ),
    "torch, a dict in its argument": (
        lambda: _Nested(lambda d: (d["image"], d["text"])),
        lambda a, b: {"batch": {"text": b, "image": a}},
    ),
    "torch, a list in a tuple": (
        lambda: _Nested(lambda both: tuple(both)), lambda a, b: ([a, b],),
    ),
    "torch, a dict in a tuple": (
        lambda: _Starred(lambda d, b: (d["image"], b)), lambda a, b: ({"image": a}, b),
    ),
    "torch, a named tuple": (lambda: _Nested(lambda p: (p.image, p.text)), _Pair),
    "keras, list": (lambda: _keras(lambda a, b: [a, b]), lambda a, b: [a, b]),
    "keras, tuple": (lambda: _keras(lambda a, b: (a, b)), lambda a, b: (a, b)),
    "keras, dict": (lambda: _keras(lambda a, b: {"u": a, "v": b}), lambda a, b: {"v": b, "u": a}),
    "keras, nested": (
        lambda: _keras(lambda a, b: [a, {"k": b}]), lambda a, b: [a, {"k": b}],
    ),
    "onnx, list": (_onnx, lambda a, b: [a, b]),
    "onnx, by name": (_onnx, lambda a, b: {"text": b, "image": a}),
}  # fmt: skip


EVERY_CALL = {"torch, a named tuple", "keras, nested", "onnx, by name"}


def _calls(model: Any, wrap: Callable[[Any, Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Pairs that must be alike: with inputs by name, and in the structure of the call."""
    example = wrap(A[:2], B[:2])
    conversion = sw.convert(model, example_input=example, spiking=True, scale_firing_rates=50)
    named = {n: A if node.shape_out == (3,) else B for n, node in conversion.inputs.items()}
    whole = wrap(A, B)
    batches = [wrap(A[:20], B[:20]), wrap(A[20:], B[20:])]
    labelled = [(wrap(A[:20], B[:20]), Y[:20]), (wrap(A[20:], B[20:]), Y[20:])]

    def run(x: Any) -> Any:
        return conversion.run(x, **RUN).predict().tolist()

    def evaluated(*data: Any) -> Any:
        return conversion.evaluate(*data, **RUN).records

    yield run(named), run(whole)
    yield dict(conversion.verify(named)), dict(conversion.verify(whole))
    yield evaluated(named, Y), evaluated(whole, Y)
    yield evaluated(named, Y), evaluated(labelled)
    yield evaluated(named), evaluated(batches)
    for data in (whole, batches, labelled):
        yield (
            conversion.calibrate(named, progress=False),
            conversion.calibrate(data, progress=False),
        )
    rule = {"spiking": True, "scale_firing_rates": sw.Percentile(99.0), "example_input": example}
    yield (
        sw.convert(model, **rule, calibration=named).run(named, **RUN).predict().tolist(),
        sw.convert(model, **rule, calibration=whole).run(whole, **RUN).predict().tolist(),
    )
    yield str(conversion.diagnose(named, Y, **RUN)), str(conversion.diagnose(whole, Y, **RUN))


@pytest.mark.parametrize("form", list(FORMS))
def test_every_call_takes_what_the_source_takes(form: str) -> None:
    """Run, verify, evaluate, calibrate and diagnose give the same as for inputs by name.

    All of these take inputs apart in one way: most forms are tried by the first three alone.
    """
    make, wrap = FORMS[form]
    calls = islice(_calls(make(), wrap), None if form in EVERY_CALL else 3)
    assert all(named == structured for named, structured in calls)


@pytest.mark.parametrize("form", ["torch, tuple", "torch, one dict", "keras, list", "onnx, list"])
def test_saved_conversions_keep_the_structure(form: str, tmp_path: Any) -> None:
    """A file knows how its inputs are given."""
    make, wrap = FORMS[form]
    conversion = sw.convert(make(), example_input=wrap(A[:2], B[:2]))
    conversion.save(tmp_path / "net")
    loaded = sw.load(tmp_path / "net")
    np.testing.assert_array_equal(
        loaded.run(wrap(A, B), **RUN).predict(), conversion.run(wrap(A, B), **RUN).predict()
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("torch")])
def test_searches_take_their_example_from_the_data(form: str) -> None:
    """`best_rule`, `sweep` and `tune` of a module and data trace it with the first of x."""
    make, wrap = FORMS[form]
    rule = {"spiking": True, "scale_firing_rates": sw.Percentile(99.0)}
    candidates = [sw.StudySetting("percentile", rule)]
    found = sw.best_rule(make(), wrap(A, B), 4, candidates=candidates, progress=False)
    assert found.best.conversion.inputs
    swept = sw.sweep(make(), wrap(A, B), Y, scales=[5, 20], steps=4, progress=False)
    assert swept.records
    choice = sw.tune(make(), wrap(A, B), Y, trials=1, timeout=120, progress=False)
    assert choice is not None


@pytest.mark.parametrize("form", ["torch, tuple", "keras, list", "onnx, list"])
def test_what_is_not_all_inputs_is_refused(form: str) -> None:
    """One of two, three of two, and others than there are: with what to give."""
    make, wrap = FORMS[form]
    conversion = sw.convert(make(), example_input=wrap(A[:2], B[:2]))
    for wrong in (A, [A], [A, B, B], {"image": A}, {"image": A, "txt": B}):
        with pytest.raises(SimulationError, match="inputs"):
            conversion.run(wrong, **RUN)
        with pytest.raises(ConversionError, match="inputs"):
            conversion.calibrate(wrong, progress=False)


def test_outputs_in_a_list() -> None:
    """Of several outputs y is a list in their order too."""
    torch.manual_seed(0)

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(3, 4), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return self.one(x), self.other(x)

    conversion = sw.convert(Heads(), example_input=A[:2])
    other = RNG.integers(0, 2, 48)
    first, second = conversion.outputs
    named = conversion.evaluate(A, {first: Y, second: other}, **RUN).records
    assert conversion.evaluate(A, [Y, other], **RUN).records == named
    with pytest.raises(SimulationError, match="a list of arrays in this order"):
        conversion.evaluate(A, Y, **RUN)
