"""Models asked for several samples at once: the operator that mixes them, and where it stands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_packed_sequence
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.mixing import MixingRuns, Parted, correspond, parted
from spikewright.frontends.pytorch.arguments import inference
from spikewright.frontends.pytorch.exporting import Traced
from spikewright.frontends.pytorch.naming import is_users, owner
from spikewright.frontends.pytorch.program import TorchProgram, by_name, full_name, take_apart
from spikewright.frontends.pytorch.registry import ArgumentPlace, to_array
from spikewright.frontends.pytorch.running import random_inputs, recorded
from spikewright.frontends.reading.call import MIXES

Arrays = Mapping[str, NDArray]
_TIME = "Build the layer with batch_first=True, or give it x.transpose(0, 1)."
_TOTAL = (
    "It pads to the longest sequence of the batch: give it a fixed number of steps, "
    "total_length=x.shape[1]."
)
_DEPENDS = "its result for a sample depends on the samples beside it, or on how many there are"


def taken_at_once(module: Any, traced: Traced, kept: Collection[str] = ()) -> int | None:
    """How many samples a module takes at a time: one, or any number (None).

    Compares its outputs for two samples with those for each alone, all of them or those that are
    `kept`. Those that depend on no input are left out: they are refused for that alone. Raises
    `UnsupportedLayerError` naming the operator that mixes samples, or the output whose rows are not
    the samples.
    """
    example, program = traced.call.arrays(), take_apart(traced.program)
    depend = {name for name, node in program.outputs.items() if node in program.dependent}
    with inference(module):

        def call(arrays: Arrays) -> dict[str, NDArray]:
            given = traced.call.of(arrays)
            leaves = pytree.tree_leaves(module(*given.args, **given.kwargs))
            named = by_name(traced.program, leaves).items()
            made = {n: to_array(v) for n, v in named if n in depend}
            return {n: v for n, v in made.items() if n in kept} or made

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
    raise UnsupportedLayerError([_refusal(found, first)])


def _takes_two(call: Callable[[Arrays], Any], example: Arrays) -> bool:
    """Whether a call takes the first sample twice."""
    try:
        call({name: np.concatenate([rows[:1], rows[:1]]) for name, rows in example.items()})
    except Exception:
        return False
    return True


def _refusal(found: Parted, first: _MadeInput | None) -> Refusal:
    """The refusal of an output whose rows are not the samples, or of what mixes them."""
    if "batch axis" in found.reason:
        moved = "Move it to the front, as in y.transpose(0, 1)"
        options = moved if "its axis" in found.reason else MIXES
        return Refusal(found.output, "output", found.reason, options)
    if first is None:
        return Refusal(found.output, "output", found.reason, MIXES)
    return Refusal(first.layer, first.kind, _DEPENDS, first.options, first.location)


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
        place = places[owner(node)]
        kind = f"{place.kind}: {full_name(owner(node).target)}"
        refusal = Refusal(place.name, kind, _DEPENDS, MIXES, place.location)
        raise UnsupportedLayerError([refusal])
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


@dataclass(frozen=True)
class _MadeInput:
    """The results of one operator, and where it was called."""

    target: str
    results: list[NDArray]
    layer: str
    kind: str
    location: str
    options: str


def _first_that_mixes(
    module: Any, call: Callable[[Arrays], Any], found: Parted
) -> _MadeInput | None:
    """The first operator whose results for two samples are not made of those for each alone."""
    both = {name: np.concatenate([found.first[name], found.second[name]]) for name in found.first}
    runs = []
    for given in (both, found.first, found.second):
        with _MixingRecorder({id(part): path for path, part in module.named_modules()}) as recorder:
            call(given)
        runs.append(recorder.made)
    padding = next((made for made in runs[0] if made.options == _TOTAL), None)
    if padding is not None:
        return padding  # operators before it turn the samples round, and back again
    for two, one, other in zip(*runs, strict=False):
        alike = two.target == one.target == other.target
        results = zip(two.results, one.results, other.results, strict=False)
        if not alike or not all(correspond(*each) for each in results):
            return two
    return None


@dataclass
class _MixingRecorder(TorchDispatchMode):
    """Keeps what every operator makes; `paths` are those of modules, by their ids."""

    paths: Mapping[int, str]
    made: list[_MadeInput] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        results = [to_array(leaf) for leaf in leaves if not leaf.is_complex()]
        self.made.append(_MadeInput(str(func), results, *self._place(func)))
        return made

    def _place(self, func: Any) -> tuple[str, str, str, str]:
        """The layer, its kind with the operator, the user's line, and the next move."""
        name = str(func).split(".")[1].strip("_")
        frames = list(_frames())
        owners = [frame.f_locals.get("self") for frame in frames]
        parts = [own for own in owners if id(own) in self.paths]
        codes = [(frame.f_code.co_filename, frame.f_lineno) for frame in frames]
        location = next((f"{file}:{line}" for file, line in codes if is_users(file)), "")
        time_first = any(getattr(part, "batch_first", None) is False for part in parts)
        options = f"{MIXES} {_TIME}" if time_first else MIXES
        if any(map(_pads_to_longest, frames)):
            options = _TOTAL
        path = self.paths[id(parts[0])] if parts else ""
        if path and not any(True for _ in parts[0].children()):
            return path, f"{type(parts[0]).__name__}: {func}", location, options
        return f"{path}.{name}".lstrip("."), f"{name}: {func}", location, options


def _pads_to_longest(frame: Any) -> bool:
    """Whether a frame pads packed sequences to the longest of the batch."""
    code = frame.f_code is pad_packed_sequence.__code__
    return code and frame.f_locals.get("total_length") is None


def _frames() -> Iterator[Any]:
    frame: Any = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back
