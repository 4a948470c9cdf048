"""Calls of readers: an error inside one, or with its result, names the layer."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from spikewright.errors import GraphError, ReadError, SpikewrightError


@contextmanager
def calling(
    reader: Callable[..., Any], layer: str, kind: str, *ways_out: type[Exception]
) -> Iterator[None]:
    """Around a reader's call: whatever it raises that is none of its `ways_out` is a `ReadError`.

    That error names the layer, its kind, and where in the reader's file it happened.
    """
    try:
        yield
    except ways_out:
        raise
    except Exception as error:
        if isinstance(error, SpikewrightError) and not isinstance(error, GraphError):
            raise
        raise ReadError(
            f"layer {layer!r} ({kind}): its reader {_name(reader)} failed at "
            f"{_place(reader, error)} ({type(error).__name__}: {error}). Mend the reader."
        ) from error


def shown(returned: Any) -> str:
    """The result of a reader, in a few words."""
    plain = returned is None or isinstance(returned, str)
    return repr(returned) if plain else f"a {type(returned).__name__}"


def _name(reader: Callable[..., Any]) -> str:
    return str(getattr(reader, "__name__", type(reader).__name__))


def _place(reader: Callable[..., Any], error: Exception) -> str:
    """`file:line` of the innermost frame in the reader's file, else where the reader begins."""
    code = getattr(reader, "__code__", None) or type(reader).__call__.__code__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    return f"{code.co_filename}:{lines[-1] if lines else code.co_firstlineno}"
