"""A user's model is afterwards what it was, whatever reads it, calls it or fails in between.

`preserved` is the one guard of all readers and of every place that calls code of a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from spikewright.frontends.preserving.snapshot import Snapshot
from spikewright.frontends.preserving.tensors import watching_inside

__all__ = ["Snapshot", "preserved", "watching_inside"]

_ONE_AT_A_TIME = RLock()


@contextmanager
def preserved(*held: Any) -> Iterator[Snapshot]:
    """A context after which a model and its arguments are what they were, also after an error.

    That holds for everything that can be reached from them: parameters, buffers and other tensors
    with their gradients, hooks, attributes, modes, containers, closures, random generators and the
    attributes of their classes. The random states of Python, NumPy, PyTorch and Keras and
    PyTorch's global hooks are put back too. Tensors are copied only when something is written into
    them. Global variables of a user's own files, files and threads are not looked at.

    Yields the snapshot that was taken. Threads take turns.
    """
    with _ONE_AT_A_TIME:
        before = Snapshot(held)
        try:
            with before.watching():
                yield before
        finally:
            before.put_back()
