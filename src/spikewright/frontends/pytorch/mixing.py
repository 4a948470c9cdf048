"""Modules asked for two samples at once: the operator that mixes them, and where it stands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.mixing import Parted, correspond, parted
from spikewright.frontends.pytorch.call import to_array
from spikewright.frontends.pytorch.exporting import Traced
from spikewright.frontends.pytorch.modes import inference
from spikewright.frontends.pytorch.naming import is_users
from spikewright.frontends.pytorch.program import by_name
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.source import Source
from spikewright.graph import Graph

Arrays = Mapping[str, NDArray]
_DEPENDS = "its result for a sample depends on the samples beside it, or on how many there are"


def taken_at_once(module: Any, traced: Traced, source: Source | None = None) -> int | None:
    """How many samples a module takes at a time: one, or any number (None).

    Compares its outputs for two samples with those for each alone. Raises `UnsupportedLayerError`
    naming the operator that mixes samples, or the output whose rows are not the samples. Outputs
    that the graph of a `source` has not are left out.
    """
    example = traced.call.arrays()
    with inference(module):

        def call(arrays: Arrays) -> dict[str, NDArray]:
            given = traced.call.of(arrays)
            leaves = pytree.tree_leaves(module(*given.args, **given.kwargs))
            return {n: to_array(v) for n, v in by_name(traced.program, leaves).items()}

        try:
            found = parted(call, example)
        except Exception as error:
            if _takes_two(call, example):
                raise ReadError(
                    f"two samples that differ make {type(module).__name__} fail "
                    f"({type(error).__name__}: {str(error)[:200]}), so whether it mixes samples is "
                    "unknown. Give it two real samples as the example input."
                ) from error
            return 1
        if found is None:
            return None
        first = _first_that_mixes(module, call, found)
    refusal = _refusal(found, first)
    if source is None or _is_kept(source.graph, refusal, found):
        raise UnsupportedLayerError([refusal])
    return None


def _takes_two(call: Callable[[Arrays], Any], example: Arrays) -> bool:
    """Whether a call takes the first sample twice."""
    try:
        call({name: np.concatenate([rows[:1], rows[:1]]) for name, rows in example.items()})
    except Exception:
        return False
    return True


def _refusal(found: Parted, first: _Made | None) -> Refusal:
    """The refusal of an output whose rows are not the samples, or of what mixes them."""
    if "batch axis" in found.reason:
        moved = "Move it to the front, as in y.transpose(0, 1), or "
        options = f"{moved if 'its axis' in found.reason else ''}name the outputs to keep: "
        options = f"{options[0].upper()}{options[1:]}outputs=[...]."
        return Refusal(found.output, "output", found.reason, options)
    if first is None:
        return Refusal(found.output, "output", found.reason, MIXES)
    return Refusal(first.layer, first.kind, _DEPENDS, MIXES, first.location)


def _is_kept(graph: Graph, refusal: Refusal, found: Parted) -> bool:
    """Whether the graph has what mixes samples: where outputs were chosen, it may be cut off."""
    if refusal.kind == "output":
        return found.output in graph.outputs
    kept = {node.source for node in graph} | {node.name for node in graph}
    return found.output in graph.outputs or refusal.layer in kept


@dataclass(frozen=True)
class _Made:
    """The results of one operator, and where it was called."""

    target: str
    results: list[NDArray]
    layer: str
    kind: str
    location: str


def _first_that_mixes(module: Any, call: Callable[[Arrays], Any], found: Parted) -> _Made | None:
    """The first operator whose results for two samples are not made of those for each alone."""
    both = {name: np.concatenate([found.first[name], found.second[name]]) for name in found.first}
    runs = []
    for given in (both, found.first, found.second):
        with _Recorder({id(part): path for path, part in module.named_modules()}) as recorder:
            call(given)
        runs.append(recorder.made)
    for two, one, other in zip(*runs, strict=False):
        alike = two.target == one.target == other.target
        results = zip(two.results, one.results, other.results, strict=False)
        if not alike or not all(correspond(*each) for each in results):
            return two
    return None


@dataclass
class _Recorder(TorchDispatchMode):
    """Keeps what operators make that compute from the inputs; `paths` are those of modules by id."""

    paths: Mapping[int, str]
    made: list[_Made] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        results = [to_array(leaf) for leaf in leaves if not leaf.is_complex()]
        self.made.append(_Made(str(func), results, *self._place(func)))
        return made

    def _place(self, func: Any) -> tuple[str, str, str]:
        """The layer, its kind with the operator, and the user's line."""
        name = str(func).split(".")[1].strip("_")
        path, part, location = "", None, ""
        for frame in _frames():
            own = frame.f_locals.get("self")
            if part is None and isinstance(own, torch.nn.Module) and id(own) in self.paths:
                path, part = self.paths[id(own)], own
            if not location and is_users(frame.f_code.co_filename):
                location = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if part is not None and path and not any(True for _ in part.children()):
            return path, f"{type(part).__name__}: {func}", location
        return f"{path}.{name}".lstrip("."), f"{name}: {func}", location


def _frames() -> Iterator[Any]:
    frame: Any = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back
