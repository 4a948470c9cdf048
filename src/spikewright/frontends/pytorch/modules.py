"""A live module: read from its program for one sample, which must not mix samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.pytorch.exporting import trace
from spikewright.frontends.pytorch.mixing import taken_at_once
from spikewright.frontends.pytorch.reading import read_program
from spikewright.frontends.pytorch.state import refuse_memory
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
    try:
        source = read_program(traced.program, outputs, module)
    except UnsupportedLayerError as error:
        if all(refusal.kind == "output" for refusal in error.refusals):
            taken_at_once(module, traced)  # says where the samples are in an output
        raise
    samples = taken_at_once(module, traced, source)
    return replace(source, call=partial(source.call, samples=samples))
