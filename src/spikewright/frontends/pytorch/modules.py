"""A live module: read from its program, which must mean the same for any number of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.fallback import Preserving, is_asked_for
from spikewright.frontends.pytorch.calling import OperatorCall
from spikewright.frontends.pytorch.exporting import trace
from spikewright.frontends.pytorch.program import take_apart
from spikewright.frontends.pytorch.reading import read_program
from spikewright.frontends.pytorch.state import refuse_memory
from spikewright.frontends.pytorch.untraceable import refuse_kind, untraceable_part
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.values import alike
from spikewright.frontends.source import Source
from spikewright.graph import Graph


def read_module(module: Any, example_input: Any, outputs: Sequence[str] | None = None) -> Source:
    """Read a module; parts that cannot be traced are called where that is asked for."""
    module = getattr(module, "_orig_mod", module)  # the module that torch.compile wrapped
    refuse_kind(module)
    opaque: list[Any] = []
    while True:
        try:
            return _read(module, example_input, outputs, opaque)
        except ReadError as error:
            part = untraceable_part(module, error) if is_asked_for() else None
            if part is None or any(part is known for known in opaque):
                raise
            opaque.append(part)


def _read(
    module: Any, example_input: Any, outputs: Sequence[str] | None, opaque: Sequence[Any]
) -> Source:
    """Read a module that can be traced where parts of it are `opaque`.

    Where its program is for one size of the batch only (`len(x)` is such a size), it is exported
    for one sample more and must give the same graph. A module that is made for that size alone, as
    `x.view(2, -1)` is, cannot be asked.
    """
    exported, call, changed = trace(module, example_input, opaque=opaque)
    if changed:
        refuse_memory(module, changed, call)
    source = read_program(exported, outputs, module)
    samples = take_apart(exported).batch.fixed
    if samples is None:
        return source
    try:
        larger = trace(module, example_input, extra=1, opaque=opaque).program
        other = read_program(larger, outputs, module).graph
    except ReadError:
        return source
    differing = _first_difference(source.graph, other)
    if differing is not None:
        reason = (
            "its computation depends on the number of samples: it differs between "
            f"{samples} and {samples + 1}"
        )
        node = source.graph[differing]
        kind = node.source_kind or node.layer.kind
        raise UnsupportedLayerError([Refusal(node.source or differing, kind, reason, MIXES)])
    return source


def _first_difference(graph: Graph, other: Graph) -> str | None:
    """Name of the first node that is not the same in another graph, if there is one."""
    for node in graph:
        if node.name not in other or not _same(node, other[node.name]):
            return node.name
    changed = (node for name, node in graph.outputs.items() if other.outputs.get(name) != node)
    return next(changed, None)


def _same(first: Any, second: Any) -> bool:
    """Whether two nodes, or two parts of them, hold the same; arrays up to their rounding.

    Called code is alike where it is of one kind: it has been tried on any number of samples.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, Preserving):
        return _same(first.function, second.function)
    if isinstance(first, OperatorCall):
        return bool(first.target == second.target)
    if isinstance(first, np.ndarray):
        return first.shape == second.shape and alike(first, second)
    if is_dataclass(first):
        return all(_same(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, Mapping):
        return _same(sorted(first.items()), sorted(second.items()))
    return bool(first == second)
