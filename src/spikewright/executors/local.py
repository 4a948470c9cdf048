"""Here, one task after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from spikewright.executors.base import Executor, Function


class Local(Executor):
    """This process."""

    remote = False

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        for task in tasks:
            yield function(shared, task, None)
