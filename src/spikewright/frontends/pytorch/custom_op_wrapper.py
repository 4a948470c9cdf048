"""Custom operators around parts that cannot be traced or read, and packed sequences.

A graph has a fixed number of steps, so a packed sequence holds the padded values and their lengths,
and a recurrent layer over it is one operator. Experts of Hugging Face's models sort tokens by
expert, or look weights up by token: here every expert is called with every token, and what it makes
is weighted by what the router gives it, zero where it was not chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, NamedTuple
from weakref import finalize, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import rnn
from torch.utils import _pytree as pytree

from spikewright.frontends.fallback import CannotCall, python_call
from spikewright.frontends.preserving import watching_inside
from spikewright.frontends.pytorch.arguments import OperatorArguments, evaluation
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import pretty, to_array
from spikewright.frontends.reading.call import sample_shape
from spikewright.graph.layers import PythonCall, Shape

_TENSOR = object()


class _Results(NamedTuple):
    """The results of a call: an unbatched shape and a type for each tensor, and their structure."""

    kinds: Sequence[tuple[tuple[int, ...], Any]]
    structure: Any


class _Call(NamedTuple):
    """A call of a module: its arguments, `_TENSOR` for each tensor, and its results."""

    module: Any
    arguments: Sequence[Any]
    structure: Any
    results: _Results


_calls: dict[int, _Call] = {}
_keys = count()


@torch.library.custom_op("spikewright::module", mutates_args=())
def _module(tensors: list[torch.Tensor], key: int) -> list[torch.Tensor]:
    """The results of a module for the tensors of a traced call."""
    call, given = _calls[key], iter(tensors)
    part = call.module()
    leaves = [next(given) if leaf is _TENSOR else leaf for leaf in call.arguments]
    args, kwargs = pytree.tree_unflatten(leaves, call.structure)
    evaluation(part)  # whoever runs a program preserves the module that it is of
    with watching_inside(), torch.no_grad():
        made = type(part).forward(part, *args, **kwargs)  # its own may stand for it just now
    return [leaf.clone() for leaf in pytree.tree_leaves(made)]


@_module.register_fake
def _(tensors: list[torch.Tensor], key: int) -> list[torch.Tensor]:
    samples = tensors[0].shape[0]
    kinds = _calls[key].results.kinds
    return [tensors[0].new_empty((samples, *shape), dtype=dtype) for shape, dtype in kinds]


def as_operators(module: Any, parts: Sequence[Any], example: OperatorArguments) -> None:
    """Make calls of these parts of a module operators, to be used where it is `preserved`.

    The operators call the parts. The shapes of their results come from a call of the module
    with the example.
    """
    if not parts:
        return
    made = {part: _watched(module, part, example) for part in parts}
    turns: Counter[Any] = Counter()
    module.register_forward_pre_hook(lambda *call: turns.clear())
    for part in parts:
        part.forward = _operator(part, made[part], turns)


def part_called(target: Any, args: Sequence[Any]) -> Any | None:
    """The module that an operator of a program calls, if it is one of these operators."""
    is_ours = target is torch.ops.spikewright.module.default
    return _calls[args[1]].module() if is_ours else None


def _watched(module: Any, part: Any, example: OperatorArguments) -> list[_Results]:
    """The results of a part at each of its calls in one call of the module."""
    found: list[_Results] = []

    def note(part: Any, args: Any, output: Any) -> None:
        leaves, structure = pytree.tree_flatten(output)
        found.append(_Results([(tuple(x.shape[1:]), x.dtype) for x in leaves], structure))

    with ExitStack() as watching:
        watching.callback(part.register_forward_hook(note).remove)
        module(*example.args, **example.kwargs)
    return found


def _operator(part: Any, made: Sequence[_Results], turns: Counter[Any]) -> Any:
    """The replacement of a part's forward method while it is traced."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        others = [_TENSOR if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        results, key = made[turns[part]], next(_keys)
        turns[part] += 1
        _calls[key] = _Call(ref(part), others, structure, results)
        finalize(part, _calls.pop, key, None)
        return pytree.tree_unflatten(_module(tensors, key), results.structure)

    return forward


@dataclass(frozen=True)
class OpaqueOperand:
    """A value that an operator is called with: its unbatched shape, and the tensor that it is.

    `sizes` are those of the tensor for one sample.
    """

    shape: Shape
    sizes: Shape
    dtype: Any
    device: Any

    def tensor(self, sample: NDArray) -> Any:
        """The tensor of one sample."""
        return torch.tensor(sample.reshape(self.sizes), dtype=self.dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class OperatorCall:
    """One result of an operator, as a function of arrays `(batch, *shape)`.

    `args` and `kwargs` have an `OpaqueOperand` in the place of every value. `index` is that of the
    result, if there are several.
    """

    target: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    index: int | None
    shape: Shape
    operands: tuple[OpaqueOperand, ...] = field(init=False)

    def __post_init__(self) -> None:
        leaves = pytree.tree_leaves((self.args, self.kwargs), _is_operand)
        object.__setattr__(self, "operands", tuple(filter(_is_operand, leaves)))

    @property
    def held(self) -> Sequence[Any]:
        """The module that is called, if it is one, and constants that it is called with."""
        return part_called(self.target, self.args), self.args, self.kwargs

    def __call__(self, *arrays: NDArray) -> NDArray:
        """The results for all samples, called for one of them after the other."""
        return np.stack([self._of_one(samples) for samples in zip(*arrays, strict=True)])

    def _of_one(self, samples: Sequence[NDArray]) -> NDArray:
        given = iter([o.tensor(one) for o, one in zip(self.operands, samples, strict=True)])
        args, kwargs = pytree.tree_map(
            lambda leaf: next(given) if _is_operand(leaf) else leaf,
            (self.args, self.kwargs),
            is_leaf=_is_operand,
        )
        with torch.no_grad():
            made = self.target(*args, **kwargs)
        made = made if self.index is None else made[self.index]
        return to_array(made).reshape(self.shape)


def operator_call(
    operator: tuple[Any, Any, Any], made: Any, index: int | None, called: str
) -> PythonCall:
    """The layer that calls an operator for one of its results, `made`.

    `operator` is its target and its arguments, `called` the same in words.

    Raises `CannotCall` where the result is no tensor of known shape.
    """
    if not isinstance(made, torch.Tensor):
        raise CannotCall("its result is no tensor")
    if made.is_complex():
        raise CannotCall("its results are complex numbers")
    sizes = sizes_of(made)
    if not all(isinstance(size, int) for size in sizes):
        raise CannotCall(f"the extents of its result, {pretty(sizes)}, depend on the data")
    function = OperatorCall(*operator, index, sample_shape(sizes))
    shapes = [operand.shape for operand in function.operands]
    whole = [not operand.dtype.is_floating_point for operand in function.operands]
    return python_call(function, shapes, whole, called, function.held)


def _is_operand(leaf: Any) -> bool:
    return isinstance(leaf, OpaqueOperand)


_KINDS = (nn.RNN, nn.GRU, nn.LSTM)
_UNPACKED = ("_pack_padded_sequence", "_pad_packed_sequence")


@torch.library.custom_op("spikewright::recurrent", mutates_args=())
def _recurrent(
    input: torch.Tensor,
    lengths: torch.Tensor,
    hx: list[torch.Tensor],
    params: list[torch.Tensor],
    mode: str,
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
) -> list[torch.Tensor]:
    """Layers over the first steps of samples `(batch, steps, units)`, as many as `lengths` says.

    Returns the sequence `(batch, steps, units)`, zero behind the lengths, and the last states.
    """
    order = torch.argsort(lengths, descending=True)
    back = torch.argsort(order)
    data, sizes = torch._VF._pack_padded_sequence(input[order], lengths[order].cpu(), True)
    states = [state[:, order] for state in hx]
    run = getattr(torch._VF, mode.lower())
    given = states if mode == "LSTM" else states[0]
    made = run(data, sizes, given, params, has_biases, num_layers, 0.0, False, bidirectional)
    padded, _ = torch._VF._pad_packed_sequence(made[0], sizes, True, 0.0, input.shape[1])
    return [padded[back].contiguous(), *(state[:, back].contiguous() for state in made[1:])]


@_recurrent.register_fake
def _(
    input: Any, lengths: Any, hx: Any, params: Any, mode: Any, has_biases: Any, num_layers: Any,
    bidirectional: bool,
) -> list[torch.Tensor]:  # fmt: skip
    units = hx[0].shape[-1] * (2 if bidirectional else 1)
    return [input.new_empty((*input.shape[:2], units)), *map(torch.empty_like, hx)]


@contextmanager
def by_lengths(module: Any) -> Iterator[None]:
    """A context in which packed sequences of one sample hold padded values and their lengths.

    To be used where the module is `preserved`.
    """
    for part in module.modules():
        if isinstance(part, _KINDS) and type(part).forward in [kind.forward for kind in _KINDS]:
            part.forward = partial(_forward, part)
    functions, inverse = torch._VF, rnn.invert_permutation
    before = {name: functions.__dict__.get(name) for name in _UNPACKED}
    functions._pack_padded_sequence = _pack
    functions._pad_packed_sequence = _pad
    rnn.invert_permutation = lambda permutation: permutation  # of one sample
    try:
        yield
    finally:
        rnn.invert_permutation = inverse
        for name, function in before.items():
            if function is None:
                delattr(functions, name)
            else:
                setattr(functions, name, function)


def _pack(input: Any, lengths: Any, batch_first: bool) -> tuple[Any, Any]:
    """The padded values `(batch, steps, ...)` and their lengths."""
    return input if batch_first else input.transpose(0, 1), lengths


def _pad(
    data: Any, lengths: Any, batch_first: bool, padding_value: float, total_length: int
) -> tuple[Any, Any]:
    """The padded values, with another value behind the lengths, and the lengths.

    The sequence has as many steps as before it was packed.
    """
    steps = torch.arange(data.shape[1], device=data.device)
    inside = steps < lengths.to(data.device)[:, None]
    inside = inside.reshape(*inside.shape, *(1,) * (data.dim() - 2))
    padded = torch.where(inside, data, torch.full_like(data, padding_value))
    return padded if batch_first else padded.transpose(0, 1), lengths


def _forward(part: Any, input: Any, hx: Any = None) -> Any:
    """A recurrent layer's own forward method, of packed sequences too."""
    if not isinstance(input, rnn.PackedSequence):
        return type(part).forward(part, input, hx)
    data, lengths, *order = input
    if hx is None:
        states = [data.new_zeros(shape) for shape in _shapes(part, len(data))]
    else:
        states = list(hx) if isinstance(hx, tuple) else [hx]
    settings = part.mode, part.bias, part.num_layers, part.bidirectional
    made, *last = _recurrent(data, lengths, states, part._flat_weights, *settings)
    return rnn.PackedSequence(made, lengths, *order), tuple(last) if len(last) > 1 else last[0]


def _shapes(part: Any, batch: int) -> list[tuple[int, int, int]]:
    """The shapes of the states of a layer."""
    layers = part.num_layers * (2 if part.bidirectional else 1)
    hidden = (layers, batch, part.proj_size or part.hidden_size)
    return [hidden, (layers, batch, part.hidden_size)] if part.mode == "LSTM" else [hidden]


_MARKS = ("num_experts", "has_gate", "has_bias", "is_transposed", "_apply_gate", "down_proj")
"""The attributes that transformers gives a module of which it has several implementations."""


def ask_every_expert(module: Any) -> None:
    """Make experts plain sums over all of them, to be used where a module is `preserved`."""
    for part in module.modules():
        if all(hasattr(part, mark) for mark in _MARKS):
            part.forward = partial(_weighted, part)


def _weighted(part: Any, hidden_states: Any, top_k_index: Any, top_k_weights: Any, *_: Any) -> Any:
    """The sum of what all experts make of rows `(tokens, units)`, weighted by the router.

    `top_k_index` and `top_k_weights` have shape `(tokens, chosen)`; the parameters have the names
    that transformers gives them.
    """
    numbers = torch.arange(part.num_experts, device=top_k_index.device)
    chosen = (top_k_index[..., None] == numbers).to(top_k_weights.dtype)
    shares = (chosen * top_k_weights[..., None]).sum(1)
    made = [
        _expert(part, index, hidden_states) * shares[:, index, None]
        for index in range(part.num_experts)
    ]
    return sum(made[1:], made[0]).to(hidden_states.dtype)


def _expert(part: Any, index: int, x: Any) -> Any:
    """The result of one expert for rows `(tokens, units)`."""
    inner = _projected(part, "gate_up_proj" if part.has_gate else "up_proj", index, x)
    inner = part._apply_gate(inner) if part.has_gate else part.act_fn(inner)
    made = _projected(part, "down_proj", index, inner)
    return part.post_expert_norm(made) if getattr(part, "has_post_expert_norm", False) else made


def _projected(part: Any, name: str, index: int, x: Any) -> Any:
    weight = getattr(part, name)[index]
    bias = getattr(part, f"{name}_bias")[index] if part.has_bias else None
    return torch.nn.functional.linear(x, weight.T if part.is_transposed else weight, bias)


_aten = torch.ops.aten


def plain_rows(exported: Any) -> None:
    """Take `where(i < 0, i + n, i)` of whole numbers, as Keras looks rows up, for `i`.

    No row has a number below zero: a network that is given one refuses it.
    """
    for node in exported.graph.nodes:
        if node.target is _aten.where.self and _counts_from_the_end(*node.args):
            node.replace_all_uses_with(node.args[2])


def _counts_from_the_end(condition: Any, moved: Any, number: Any) -> bool:
    if not all(isinstance(node, torch.fx.Node) for node in (condition, moved, number)):
        return False
    whole = not number.meta["val"].is_floating_point()
    below = condition.target is _aten.lt.Scalar and condition.args == (number, 0)
    extent = moved.args[1] if moved.target is _aten.add.Tensor and len(moved.args) == 2 else None
    return whole and below and moved.args[0] is number and isinstance(extent, int)
