"""Messages of PyTorch while it traces or loads: kept aside, and shown where it fails."""

from __future__ import annotations

import io
import logging
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch

from spikewright.errors import ReadError

_PYTORCH = Path(torch.__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))


class _Text(io.StringIO):
    """A stream in memory in the place of standard error, whose file faults are written to."""

    def fileno(self) -> int:
        stream = sys.__stderr__
        return super().fileno() if stream is None else stream.fileno()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of PyTorch's reaches the screen; a `ReadError` has it in its `details`.

    Warnings of code that is not PyTorch's are given again at the end, where nothing was refused.
    """
    said = _Text()
    try:
        with ExitStack() as stack:
            stack.enter_context(_logged(said))
            stack.enter_context(redirect_stderr(said))
            warned = stack.enter_context(warnings.catch_warnings(record=True))
            yield
    except ReadError as error:
        told = [str(one.message) for one in warned]
        error.details = "\n".join([*told, said.getvalue()]).strip()
        if error.details:
            error.add_note("What PyTorch said beside it is in `details` of the error.")
        raise
    for one in warned:
        if not _is_inside(Path(one.filename)):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _is_inside(path: Path) -> bool:
    """Whether a file is PyTorch's, or of the standard library that PyTorch calls."""
    own = path.is_relative_to(_PYTHON) and "site-packages" not in path.parts
    return own or path.is_relative_to(_PYTORCH)


@contextmanager
def _logged(stream: io.StringIO) -> Iterator[None]:
    """PyTorch's loggers write to a stream in place of standard error."""
    screen = (sys.stderr, sys.__stderr__)
    moved = {handler: handler.stream for handler in _handlers() if handler.stream in screen}
    for handler in moved:
        handler.stream = stream
    try:
        yield
    finally:
        for handler in _handlers():  # some are made in between
            if handler.stream is stream:
                handler.stream = moved.get(handler, screen[0])


def _handlers() -> list[Any]:
    """The handlers by which PyTorch's loggers write to streams."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("torch")]
    found = [handler for name in names for handler in logging.getLogger(name).handlers]
    return [handler for handler in found if isinstance(handler, logging.StreamHandler)]
