"""A live module: read from its program for one sample, which must not mix samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.pytorch.arguments import refuse_memory
from spikewright.frontends.pytorch.exporting import Traced, trace
from spikewright.frontends.pytorch.mixing import taken_at_once
from spikewright.frontends.pytorch.reading import read_program
from spikewright.frontends.pytorch.running import call
from spikewright.frontends.pytorch.untraceable import refuse_kind, untraceable_part
from spikewright.frontends.source import Source


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
