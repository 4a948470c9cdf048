"""A network in a table, and the properties that all networks of one place share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Member(NamedTuple):
    """A network of a family: the unbatched shape of its input, and options with which it is made.

    `argument` is the name by which it takes its input, where it is not the first one.
    """

    family: str
    shape: tuple[int, ...]
    options: Mapping[str, Any] = {}
    argument: str = ""

    def samples(self, batch: int) -> NDArray:
        """Seeded normal values, `(batch, *shape)`, float32."""
        return np.random.default_rng(0).standard_normal((batch, *self.shape), np.float32)


class Origin(NamedTuple):
    """A source of networks: its title, its table, and the functions that make and export one.

    `make(name, member)` gives it with initial weights. `warm(model, member)` gives those values as
    training would, and `export(model, member, folder)` the path of the model as an ONNX file.
    """

    title: str
    members: Mapping[str, Member]
    make: Callable[[str, Member], Any]
    warm: Callable[[Any, Member], Any]
    export: Callable[[Any, Member, Path], Path]
    example: bool = True  # whether converting needs an example of the input


def image(family: str, side: int, **options: Any) -> Member:
    """A network that is given a square of pixels in three colours, channels first."""
    return Member(family, (3, side, side), options)
