"""Random states: those of the whole process, and generators that a model holds."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_GENERATORS = (
    random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState,
)  # fmt: skip


class RandomState:
    """The state of a random generator, with the functions that get and set it."""

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], Any]) -> None:
        self._put, self._state = put, get()

    def put_back(self) -> None:
        """The state that it had."""
        self._put(self._state)


def of_process() -> Iterator[RandomState]:
    """The global states of Python, NumPy and, where it is loaded, PyTorch."""
    yield RandomState(random.getstate, random.setstate)
    yield RandomState(np.random.get_state, np.random.set_state)
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "random"):
        yield RandomState(torch.get_rng_state, torch.set_rng_state)
        if torch.cuda.is_initialized():
            yield RandomState(torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)


def is_generator(kind: type) -> bool:
    """Whether objects of a class are random generators."""
    if (kind.__module__, kind.__name__) == ("torch._C", "Generator"):
        return True
    return issubclass(kind, _GENERATORS) and not issubclass(kind, random.SystemRandom)


def of_generator(thing: Any) -> RandomState:
    """The state of a random generator."""
    if isinstance(thing, random.Random):
        return RandomState(thing.getstate, thing.setstate)
    bits = thing.bit_generator if isinstance(thing, np.random.Generator) else thing
    if isinstance(bits, np.random.BitGenerator):
        return RandomState(lambda: bits.state, lambda state: setattr(bits, "state", state))
    return RandomState(thing.get_state, thing.set_state)
