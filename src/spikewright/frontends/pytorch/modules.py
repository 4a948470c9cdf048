"""Live modules and programs: read from the program for one sample, which must not mix samples.

The module is asked for two samples at once; where it mixes them, the operator that does is looked
for, and where it stands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_packed_sequence
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.mixing import Parted, correspond, parted
from spikewright.frontends.pytorch.arguments import (
    inference,
    input_places,
    refuse_memory,
    shapes_of,
)
from spikewright.frontends.pytorch.custom_op_wrapper import plain_rows
from spikewright.frontends.pytorch.exporting import Traced, refuse_kind, trace, untraceable_part
from spikewright.frontends.pytorch.functional import (
    without_side_effects,
)
from spikewright.frontends.pytorch.naming import (
    is_users,
    kept,
    place_all,
)
from spikewright.frontends.pytorch.one_sample import (
    DEPENDS,
    compare_programs,
    of_one_sample,
    samples_of,
)
from spikewright.frontends.pytorch.program import (
    TorchProgram,
    by_name,
    cut,
    take_apart,
)
from spikewright.frontends.pytorch.reading import TorchTraversal
from spikewright.frontends.pytorch.registry import (
    to_array,
)
from spikewright.frontends.pytorch.running import call, precision_of, ran, run
from spikewright.frontends.reading.call import (
    MIXES,
    afford_call,
)
from spikewright.frontends.source import Source

Arrays = Mapping[str, NDArray]
_TIME = "Build the layer with batch_first=True, or give it x.transpose(0, 1)."
_TOTAL = (
    "It pads to the longest sequence of the batch: give it a fixed number of steps, "
    "total_length=x.shape[1]."
)


def taken_at_once(module: Any, traced: Traced, kept: Collection[str] = ()) -> int | None:
    """The number of samples that a module takes at a time: one, or any (None).

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
    return Refusal(first.layer, first.kind, DEPENDS, first.options, first.location)


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
    """Read a module that can be traced where parts of it are `opaque`."""
    traced = trace(module, example_input, opaque=opaque)
    if traced.changed:
        refuse_memory(module, traced.changed, traced.call.rows(traced.samples))
    if traced.samples > 1:
        return read_program(traced.program, outputs, module)
    try:
        source = read_program(traced.program, outputs, module)
    except UnsupportedLayerError as error:
        if outputs is not None:
            raise
        raise _with_mixing(error, module, traced) from None
    kept = set(source.graph.outputs)
    try:
        samples = taken_at_once(module, traced, kept)
    except UnsupportedLayerError as error:
        ours = {node.source for node in source.graph}
        if outputs is not None and not any(r.layer in ours | kept for r in error.refusals):
            samples = None  # what mixes samples was cut off
        else:
            raise
    ask = partial(call, traced.program, module, source.graph, samples=samples)
    return replace(source, call=ask)


def _with_mixing(
    error: UnsupportedLayerError, module: Any, traced: Traced
) -> UnsupportedLayerError:
    """The error, with what mixes samples in front if anything does."""
    try:
        taken_at_once(module, traced)
    except UnsupportedLayerError as mixing:
        return UnsupportedLayerError([*mixing.refusals, *error.refusals], error.read, error.met)
    except Exception:  # its own call fails: then nothing is known of that
        return error
    return error


def read_program(
    exported: Any,
    outputs: Sequence[str] | None = None,
    module: Any = None,
    example_input: Any = None,
) -> Source:
    """Read a `torch.export.ExportedProgram`; see `spikewright.frontends.pytorch.read`.

    One of several samples, or of any number, is made one of a single sample, and compared with it.
    `module` is the live module that it was traced from, if there is one: inputs are where its
    forward method takes them. The example says how long axes of free size are.
    """
    if module is not None:
        plain_rows(exported)
    strict = outputs is None and not is_asked_for()
    many = without_side_effects(exported, whole=strict)
    samples = samples_of(many)
    free = any(not isinstance(n, int) for shape in many.inputs.values() for n in shape)
    lone = samples == 1 and not free
    program = many if lone else of_one_sample(many, samples, _shapes(many, example_input))
    inputs = [node.name for node in program.inputs]
    places = place_all(program.dependent, inputs, program.parameters)
    if outputs is not None:
        program = cut(program, kept(program, places, outputs))
    walk = TorchTraversal(program, places, input_places(exported, module), module is not None)
    graph = walk.graph()
    if not lone:
        afford_call(graph)
        compare_programs(many, program, samples or 2, places)
    elif module is None:
        walk.refuse_lone_outputs()
    observed = {node: name for name, node in walk.observed.items() if name in graph}
    activations = partial(run, program, graph, observed)
    ask = partial(call, exported, module, graph, samples=samples)
    return Source(graph, "pytorch", activations, ask, partial(ran, module), precision_of(program))


def _shapes(program: TorchProgram, example_input: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs by name, from an example that has them in their order."""
    given = [] if example_input is None else shapes_of(example_input)
    return dict(zip((node.name for node in program.inputs), given, strict=False))
