"""A network in a table, and the properties that all networks of one place share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.families.inputs import Input, values

ONLY = ""  # the name of an input that a network takes as its first argument


class Member(NamedTuple):
    """A network of a family: its inputs by the names by which it takes them, and its options."""

    family: str
    inputs: Mapping[str, Input]
    options: Mapping[str, Any] = {}

    @property
    def input_text(self) -> str:
        """The inputs in words: names where there are several, and unbatched shapes."""
        if ONLY in self.inputs or len(self.inputs) == 1:
            return _shape(*self.inputs.values())
        return ", ".join(f"{name}: {_shape(one)}" for name, one in self.inputs.items())

    @property
    def free_padding(self) -> Input | None:
        """An input whose padding may be anything, if there is one."""
        return next((one for one in self.inputs.values() if one.free), None)

    def arrays(self, batch: int) -> dict[str, NDArray]:
        """Seeded input of a batch, by name."""
        rng = np.random.default_rng(0)
        return {name: one.drawn(batch, rng) for name, one in self.inputs.items()}

    def samples(self, batch: int) -> Any:
        """Seeded input of a batch, as the network takes it: an array, or arrays by name."""
        return as_taken(self.arrays(batch))

    def compared(self) -> dict[str, NDArray]:
        """Two samples; where padding may be anything, the second again with other padding."""
        arrays, rng = self.arrays(2), np.random.default_rng(1)
        if self.free_padding is None:
            return arrays
        return {name: one.refilled(arrays[name], rng) for name, one in self.inputs.items()}


def as_taken(arrays: dict[str, NDArray]) -> Any:
    """Arrays by name, or the only one alone."""
    return arrays.get(ONLY, arrays)


def _shape(one: Input) -> str:
    return " x ".join(map(str, one.shape)) or "one number"


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
    keras: bool = False  # whether its networks are models of Keras
    example: bool = True  # whether converting needs an example of the input

    def call(self, model: Any, samples: Any) -> Any:
        """The outputs of a network for samples as it takes them."""
        return model(samples) if self.keras else called(model, samples)


def image(family: str, side: int, **options: Any) -> Member:
    """A network that is given a square of pixels in three colours, channels first."""
    return Member(family, {ONLY: values(3, side, side)}, options)


def called(module: Any, samples: Any) -> Any:
    """The outputs of a PyTorch module for an array, or for arrays by name."""
    import torch

    if isinstance(samples, dict):
        return module(**{name: torch.from_numpy(x) for name, x in samples.items()})
    return module(torch.from_numpy(samples))
