"""A model's own call, on a whole batch, beside what is read of it sample by sample.

Random networks move their axes about, merge and sum them, and hand them to layers that take this
one or that for time. What is read must be what the call gives; what mixes samples is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from keras_helpers import keras
from onnx_helpers import model, node, random
from torch import nn

from spikewright.errors import ReadError
from spikewright.frontends import read
from spikewright.graph.integer_inputs import random_inputs
from spikewright.testing.frontends import check_call

Draw = np.random.Generator


def drawn(rng: Draw, *choices: Any) -> Any:
    """One of them."""
    return choices[rng.integers(len(choices))]


# --- PyTorch -------------------------------------------------------------------------------------


class Steps(nn.Module):
    """Functions of the module and the last value, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Callable[[nn.Module, torch.Tensor], torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of a batch."""
        for step in self.steps:
            x = step(self, x)
        return x


def torch_step(rng: Draw, module: nn.Module, x: torch.Tensor) -> Any:
    """A function that fits a value of this shape, or mostly does."""
    axis, other = (int(rng.integers(x.ndim)) for _ in range(2))
    order = [int(i) for i in rng.permutation(x.ndim)]
    inner = nn.Linear(x.shape[-1], 3)
    layer = drawn(rng, nn.RNN, nn.GRU, nn.LSTM)(x.shape[-1], 2, batch_first=bool(rng.integers(2)))
    name = f"part{len(module.steps)}"  # type: ignore[arg-type]
    kind = rng.integers(9)
    if kind in (6, 7):
        module.add_module(name, inner if kind == 6 else layer)
    return {
        0: lambda m, x: x.permute(order),
        1: lambda m, x: x.transpose(axis, other),
        2: lambda m, x: x.mean(axis, keepdim=True),
        3: lambda m, x: x.softmax(axis),
        4: lambda m, x: x.flatten(min(axis, other), max(axis, other)),
        5: lambda m, x: x - x.amax(axis, keepdim=True),
        6: lambda m, x: getattr(m, name)(x),
        7: lambda m, x: getattr(m, name)(x)[0],
        8: lambda m, x: x.unsqueeze(axis),
    }[int(kind)]


def torch_network(seed: int) -> tuple[Any, Any]:
    """A random module and an example."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    shape = [int(n) for n in rng.integers(2, 4, size=rng.integers(2, 4))]
    example = value = torch.randn(2, *shape)
    module = Steps().eval()
    while len(module.steps) < 4:
        step = torch_step(rng, module, value)
        try:
            with torch.no_grad():
                value = step(module, value)
        except (RuntimeError, ValueError):
            continue
        module.steps.append(step)
    return module, example


# --- Keras ---------------------------------------------------------------------------------------


def keras_step(rng: Draw, x: Any) -> Any:
    """A layer or operation that fits a value of this shape, or mostly does."""
    axis, rank = int(rng.integers(len(x.shape))), len(x.shape)
    order = [int(i) for i in rng.permutation(rank)]
    layer = drawn(rng, keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM)
    return [
        lambda: keras.ops.transpose(x, order),
        lambda: keras.ops.mean(x, axis=axis, keepdims=True),
        lambda: keras.ops.softmax(x, axis=axis),
        lambda: keras.ops.subtract(x, keras.ops.max(x, axis=axis, keepdims=True)),
        lambda: keras.ops.expand_dims(x, axis),
        lambda: keras.ops.flip(x, axis=axis),
        lambda: keras.ops.cumsum(x, axis=axis),
        lambda: keras.layers.Dense(3)(x),
        lambda: keras.layers.Flatten()(x),
        lambda: layer(2, return_sequences=bool(rng.integers(2)))(x),
        lambda: keras.ops.reshape(x, (-1, *x.shape[2:])),
    ][rng.integers(11)]()


def keras_network(seed: int) -> tuple[Any, Any]:
    """A random model."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    given = value = keras.Input([int(n) for n in rng.integers(2, 4, size=rng.integers(1, 3))])
    made = 0
    while made < 4:
        try:
            value = keras_step(rng, value)
        except Exception:  # whatever Keras says of shapes that do not fit
            continue
        made += 1
    return keras.Model(given, value), None


# --- ONNX ----------------------------------------------------------------------------------------


def onnx_step(rng: Draw, index: int, shape: tuple[int, ...], weights: dict[str, Any]) -> Any:
    """A node that fits a value of this shape, of a batch of two, and the shape that it makes."""
    axis, last, made = int(rng.integers(len(shape))), f"v{index}", f"v{index + 1}"
    order = [int(i) for i in rng.permutation(len(shape))]
    name = f"w{index}"

    def with_constant(operator: str, value: Any, **attributes: Any) -> Any:
        weights[name] = np.asarray(value)
        return node(operator, f"{last} {name}", made, **attributes)

    kind = int(rng.integers(8 if len(shape) == 3 else 7))
    if kind == 0:
        return node("Transpose", last, made, perm=order), tuple(shape[i] for i in order)
    if kind == 1:
        sums = (*shape[:axis], 1, *shape[axis + 1 :])
        return with_constant("ReduceSum", [axis], keepdims=1), sums
    if kind == 2:
        return node("Softmax", last, made, axis=axis), shape
    if kind == 3:
        full = [-1 if i == axis else n for i, n in enumerate(reversed(shape))]
        return with_constant("Reshape", full), tuple(reversed(shape))
    if kind == 4:
        return with_constant("Unsqueeze", [axis]), (*shape[:axis], 1, *shape[axis:])
    if kind == 5:
        return with_constant("MatMul", random(shape[-1], 3, seed=index)), (*shape[:-1], 3)
    if kind == 6:
        flat = int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))
        return node("Flatten", last, made, axis=axis), flat
    weights[name], weights[f"r{index}"] = random(1, 2, shape[2]), random(1, 2, 2)
    rnn = node("RNN", f"{last} {name} r{index}", f"- {made}", hidden_size=2)
    return rnn, (1, shape[1], 2)


def onnx_network(seed: int) -> tuple[Any, Any]:
    """A random model, of an open or a fixed batch."""
    rng = np.random.default_rng(seed)
    first: tuple[int, ...] = tuple(int(n) for n in rng.integers(2, 4, size=rng.integers(1, 3)))
    shape, weights, nodes = (2, *first), {}, []
    for index in range(4):
        made, shape = onnx_step(rng, index, shape, weights)
        nodes.append(made)
    return model(nodes, {"v0": (drawn(rng, "n", 2), *first)}, ["v4"], weights), None


# --- the law -------------------------------------------------------------------------------------

NETWORKS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "pytorch": torch_network,
    "keras": keras_network,
    "onnx": onnx_network,
}


def compare(front_end: str, seeds: range) -> None:
    """Random networks on another batch than the example's; many are read, many refused."""
    read_at_all, refused = 0, 0
    for seed in seeds:
        network, example = NETWORKS[front_end](seed)
        try:
            source = read(network, example)
        except ReadError:
            refused += 1
            continue
        check_call(source, random_inputs(source.graph, seed, batch=4), 1e-4)
        read_at_all += 1
    assert min(read_at_all, refused) >= len(seeds) / 8, (read_at_all, refused)


@pytest.mark.parametrize("front_end", NETWORKS)
def test_what_is_read_is_what_the_call_gives(front_end: str) -> None:
    """Nothing that mixes samples is read."""
    compare(front_end, range(24))
