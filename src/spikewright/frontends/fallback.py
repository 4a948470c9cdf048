"""Readers that fail, and layers that cannot be read: calls of the source own code."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.advice import advise
from spikewright.errors import GraphError, ReadError, SpikewrightError, UnsupportedLayerError
from spikewright.frontends.preserving import preserved
from spikewright.graph.layers import PythonCall, Shape


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


def format_returned(returned: Any) -> str:
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


_ASKED: ContextVar[bool] = ContextVar("what cannot be read is called", default=False)
_SAMPLES = 3


class CannotCall(Exception):
    """The source's own code cannot be called in place of a layer; the message says why."""


@contextmanager
def calling_what_is_not_read() -> Iterator[None]:
    """A context in which layers that cannot be read become a `PythonCall` each."""
    token = _ASKED.set(True)
    try:
        yield
    finally:
        _ASKED.reset(token)


def is_asked_for() -> bool:
    """Whether layers that cannot be read are to be called."""
    return _ASKED.get()


def without_futile_advice(
    error: UnsupportedLayerError, model: Any, fallback: str | None
) -> UnsupportedLayerError:
    """The error, which advises to call layers only where that may help.

    It was tried where a `fallback` was given, and files run no code before they are loaded.
    """
    if fallback is None and not isinstance(model, str | Path):
        return error
    refusals = []
    for refusal in error.refusals:
        more = ""
        if refusal.callable and fallback is None:
            more = advise("call of a loaded model", path=model)
        options = ". ".join(filter(None, [refusal.options.rstrip("."), more]))
        refusals.append(replace(refusal, options=options, callable=False))
    found = UnsupportedLayerError(refusals, error.read, error.met)
    found.details, found.__cause__ = error.details, error.__cause__
    return found


@dataclass(frozen=True, eq=False)
class Preserving:
    """A function that calls code of a model, which it leaves as it was; `held` are its objects."""

    function: Callable[..., NDArray]
    held: Sequence[Any]

    def __call__(self, *arrays: NDArray) -> NDArray:
        """The result of the function."""
        with preserved(*self.held):
            return self.function(*arrays)


def python_call(
    function: Callable[..., NDArray],
    shapes: Sequence[Shape],
    whole: Sequence[bool],
    called: str,
    held: Sequence[Any] = (),
) -> PythonCall:
    """The layer that calls a function, which is tried on random samples; `whole` inputs get ones.

    `held` are objects of the source that the function may change; calls leave them as they were.

    Raises `CannotCall` where it fails, makes something else of a sample when others are beside it,
    or something else the next time.
    """
    rng = np.random.default_rng(0)
    given = [
        np.ones((_SAMPLES, *shape)) if ones else rng.normal(size=(_SAMPLES, *shape))
        for shape, ones in zip(shapes, whole, strict=True)
    ]
    try:
        with preserved(*held):  # around all of them: else each would begin anew
            together, again = function(*given), function(*given)
            apart = [function(*(x[i : i + 1] for x in given)) for i in range(_SAMPLES)]
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise CannotCall(f"its own call fails ({type(error).__name__}: {text})") from error
    if together.shape[:1] != (_SAMPLES,):
        raise CannotCall(f"{_SAMPLES} samples make {together.shape}, so samples do not stay apart")
    if not _alike(together, again):
        raise CannotCall("its own call gives something else the next time")
    if not _alike(together, np.concatenate(apart)):
        raise CannotCall("its results for a sample depend on the samples beside it")
    mark = hashlib.sha256(np.ascontiguousarray(together, np.float32).tobytes()).hexdigest()
    return PythonCall(
        Preserving(function, held), tuple(map(tuple, shapes)), together.shape[1:], called, mark
    )


def _alike(one: NDArray, other: NDArray) -> bool:
    scale = float(np.abs(one[np.isfinite(one)]).max(initial=0.0))
    return one.shape == other.shape and np.allclose(one, other, 1e-4, 1e-5 * scale, equal_nan=True)
