"""Programs of any batch as programs of one sample.

A free batch is made one. In a program of a fixed number of samples, sizes that are written as
numbers are divided where operators need it, and constants that have a row for every sample are cut
down to one. `compare_programs` tries the result.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, islice
from types import MappingProxyType
from typing import Any

import torch
from numpy.typing import NDArray
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.mixing import MixingRuns
from spikewright.frontends.pytorch.functional import fold, is_foldable
from spikewright.frontends.pytorch.naming import owner, place_of_function
from spikewright.frontends.pytorch.program import (
    TorchProgram,
    full_name,
    is_check,
    sizes_of,
    take_apart,
)
from spikewright.frontends.pytorch.registry import ArgumentPlace
from spikewright.frontends.pytorch.running import random_inputs, recorded
from spikewright.frontends.reading.call import MIXES, UnsupportedOp

_TRIED = 200
"""Ways to divide the numbers of an operator that are tried."""

DEPENDS = "its result for a sample depends on the samples beside it, or on how many there are"

Change = Callable[[], None]


def samples_of(program: TorchProgram) -> int | None:
    """The number of samples that a program takes at a time; None where any will do."""
    sizes = [sizes_of(node.meta["val"])[0] for node in program.inputs]
    fixed = {int(size) for size in sizes if isinstance(size, int)}
    if len(fixed) > 1:
        raise ReadError(
            f"the program's inputs have {sorted(fixed)} samples; the first axis is the batch, "
            "which must have the same size in all of them. Export the program again."
        )
    return next(iter(fixed), None)


def of_one_sample(
    program: TorchProgram,
    samples: int | None,
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> TorchProgram:
    """The program for one sample, with a graph of its own.

    `shapes` are those of inputs `(batch, *shape)` in an example, by name, for axes of free size.
    Raises `ReadError` where such an axis is in no example.
    """
    exported = copy.copy(program.exported)
    graph = copy.deepcopy(exported.graph)
    for new, old in zip(graph.nodes, exported.graph.nodes, strict=True):
        new.name = old.name  # a copy gives other names to those that Python knows
    exported._graph_module = torch.fx.GraphModule(exported.graph_module, graph)
    nodes = {node.name: node for node in exported.graph.nodes}
    effects = {
        nodes[node.name]: frozenset(nodes[one.name] for one in shared)
        for node, shared in program.effects.items()
    }
    made = take_apart(exported, program.has_side_effects, effects)
    made = replace(
        made, inputs={n: _unbatched(n.name, made.inputs[n], shapes) for n in made.inputs}
    )
    _Shrinking(made, samples or 0).run()
    return take_apart(exported, program.has_side_effects, effects)


def _unbatched(
    name: str, shape: Sequence[Any], shapes: Mapping[str, Sequence[int]]
) -> tuple[int, ...]:
    """The shape of an input of one sample: what is free is as in the example."""
    given = shapes.get(name, ())[1:]
    free = [axis for axis, size in enumerate(shape) if not isinstance(size, int)]
    if free and len(given) != len(shape):
        raise ReadError(
            f"input {name!r} has a free size on axis {free[0] + 1}, and a network has fixed ones. "
            "Give an example input of the size that you need: example_input=x."
        )
    return tuple(given[axis] if axis in free else size for axis, size in enumerate(shape))


class _Shrinking:
    """Computes the shapes of a program for one sample, in place of those for `samples` (0: any)."""

    def __init__(self, program: TorchProgram, samples: int) -> None:
        self._program, self._samples = program, samples
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._made: dict[Any, Any] = {}  # of nodes that depend on the number of samples
        self._constants: dict[Any, Any] = dict(program.constants)

    def run(self) -> None:
        """Put the new shapes, and numbers, into the program's graph."""
        for node in list(self._program.exported.graph.nodes):
            if node in self._program.inputs:
                like = node.meta["val"]
                with self._mode:
                    shape = (1, *self._program.inputs[node])
                    one = torch.empty(shape, dtype=like.dtype, device=like.device)
                self._made[node] = node.meta["val"] = one
            elif node.op == "call_function" and not is_check(node) and self._depends(node):
                before = node.meta.get("val")
                self._made[node] = node.meta["val"] = self._shrunk(node, before)

    def _depends(self, node: Any) -> bool:
        return any(one in self._made for one in node.all_input_nodes)

    def _operand(self, node: Any) -> Any:
        if node.op == "get_attr":
            return getattr(self._program.exported.graph_module, node.target)
        if node in self._made:
            return self._made[node]
        return pytree.tree_map_only(torch.Tensor, self._fake, node.meta.get("val"))

    def _fake(self, like: Any) -> Any:
        with self._mode:
            return torch.empty(tuple(like.shape), dtype=like.dtype, device=like.device)

    def _result(self, node: Any) -> Any:
        """The result of a node for its operands as they are now, or the error that it raises."""
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), self._operand)
        try:
            with self._mode, torch.no_grad():
                return node.target(*args, **kwargs)
        except Exception as error:
            return error

    def _shrunk(self, node: Any, before: Any) -> Any:
        result = self._result(node)
        constant = node not in self._program.dependent and not isinstance(result, Exception)
        if self._samples and not constant and not self._is_smaller(result, before):
            for changes in self._ways(node):
                given = node.args, node.kwargs
                for change in changes:
                    change()
                tried = self._result(node)
                if self._is_smaller(tried, before):
                    return tried
                node.args, node.kwargs = given
        if isinstance(result, Exception):
            place, what = place_of_function(node), self._samples or "any number of"
            reason = f"its program is of {what} samples, and it fails for one of them: {result}"
            refusal = place.refusal(full_name(node.target), reason, MIXES)
            raise UnsupportedLayerError([refusal]) from result
        return result

    def _is_smaller(self, made: Any, before: Any) -> bool:
        """Whether every tensor of a result is that of one sample, by one of its axes."""
        if isinstance(made, Exception):
            return False
        pairs = zip(pytree.tree_leaves(made), pytree.tree_leaves(before), strict=True)
        return all(
            not isinstance(one, torch.Tensor)
            or (
                one.dim() == many.dim()
                and sorted(
                    many.shape[axis] // n if many.shape[axis] % n == 0 else 0
                    for axis, n in enumerate(one.shape)
                    if n and n != many.shape[axis]
                )
                == [self._samples]
            )
            for one, many in pairs
        )

    def _ways(self, node: Any) -> Iterator[Sequence[Change]]:
        """Changes of an operator's arguments, the fewest first."""
        found = [*self._constant_ways(node), *self._number_ways(node)]
        every = (some for count in (1, 2, 3) for some in combinations(found, count))
        return islice(every, _TRIED)

    def _number_ways(self, node: Any) -> Iterator[Change]:
        """Whole numbers that may count samples, divided by how many there are."""
        leaves, structure = pytree.tree_flatten((node.args, node.kwargs))
        for place, leaf in enumerate(leaves):
            whole = isinstance(leaf, int) and not isinstance(leaf, bool)
            if whole and leaf > 0 and leaf % self._samples == 0:

                def change(place: int = place, leaf: int = leaf) -> None:
                    now, _ = pytree.tree_flatten((node.args, node.kwargs))
                    now[place] = leaf // self._samples
                    node.args, node.kwargs = pytree.tree_unflatten(now, structure)

                yield change

    def _constant_ways(self, node: Any) -> Iterator[Change]:
        """Constants that have a row for every sample, with the first of them alone."""
        for one in node.all_input_nodes:
            like = one.meta.get("val")
            if one in self._made or not isinstance(like, torch.Tensor):
                continue
            for axis, extent in enumerate(like.shape):
                if extent and extent % self._samples == 0:
                    yield partial(self._cut, node, one, axis)

    def _cut(self, node: Any, constant: Any, axis: int) -> None:
        """Put the part of a constant that belongs to the first sample in its place."""
        graph, own = node.graph, constant.meta["val"].shape[axis] // self._samples
        inner = self._is_inner(constant, axis, own)
        span = (0, 2**63 - 1, self._samples) if inner else (0, own, 1)
        with graph.inserting_before(node):
            cut = graph.call_function(torch.ops.aten.slice.Tensor, (constant, axis, *span))
        cut.meta.update(val=self._result(cut), **{
            key: node.meta[key] for key in ("stack_trace", "nn_module_stack") if key in node.meta
        })  # fmt: skip
        node.replace_input_with(constant, cut)

    def _is_inner(self, constant: Any, axis: int, own: int) -> bool:
        """Whether samples lie behind the values that they are merged with along an axis."""
        if own == 1:
            return False
        value = self._value(constant)
        if value is None:
            return False
        apart = value.unflatten(axis, (own, self._samples))
        return bool((apart == apart.narrow(axis + 1, 0, 1)).all())

    def _value(self, node: Any) -> Any:
        """The value of a constant, or None where it cannot be computed."""
        if node not in self._constants:
            operands = {one: self._value(one) for one in node.all_input_nodes}
            known = all(value is not None for value in operands.values())
            if node.op != "call_function" or not known or not is_foldable(node.target, node.args):
                return None
            args, kwargs = torch.fx.map_arg((list(node.args), node.kwargs), operands.get)
            try:
                self._constants[node] = fold(node.target, args, kwargs)
            except UnsupportedOp:
                return None
        return self._constants[node]


def compare_programs(
    many: TorchProgram, one: TorchProgram, samples: int, places: Mapping[Any, ArgumentPlace]
) -> None:
    """Compare a program on several samples with that for one sample on each of them.

    `places` are those of operators of the latter. Raises `UnsupportedLayerError` naming the first
    operator by which they differ, or an output whose rows are not the samples.
    """
    given = {node.name: value for node, value in random_inputs(one, samples).items()}
    nodes = {name: node for name, node in one.outputs.items() if isinstance(node, torch.fx.Node)}
    runs = _recorded(many, one, {node.name for node in nodes.values()}, given)
    apart = [name for name, node in nodes.items() if not _are_rows(runs, node.name)]
    if not apart:
        return
    runs = _recorded(many, one, {node.name for node in one.live}, given)
    placed = [node for node in one.dependent if owner(node) in places]
    node = runs.first_mixing((node, (), [node.name]) for node in placed)
    if node is not None:
        target = full_name(owner(node).target)
        raise UnsupportedLayerError([places[owner(node)].refusal(target, DEPENDS, MIXES)])
    reason = f"its rows for {samples} samples are not those of each of them alone"
    raise UnsupportedLayerError([Refusal(apart[0], "output", reason, MIXES)])


def _are_rows(runs: MixingRuns, name: str) -> bool:
    """Whether a value has one row for each sample, in front."""
    one = runs.alone[0][name].shape
    shape = one[1:] if one[:1] == (1,) else one
    return runs.together[name].shape == (len(runs.alone), *shape) and runs.apart(name)


def _recorded(
    many: TorchProgram, one: TorchProgram, names: Collection[str], given: Mapping[str, NDArray]
) -> MixingRuns:
    """The values of nodes, by name, for all samples together and for each of them alone."""

    def of(program: TorchProgram, rows: slice) -> dict[str, NDArray]:
        inputs = {node: given[node.name][rows] for node in program.inputs}
        nodes = [node for node in program.live if node.name in names]
        return {node.name: v for node, v in recorded(program, nodes, inputs).items()}

    count = len(next(iter(given.values())))
    return MixingRuns(of(many, slice(None)), [of(one, slice(i, i + 1)) for i in range(count)])
