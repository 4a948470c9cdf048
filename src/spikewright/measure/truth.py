"""What the outputs should have been: class labels, or values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._arrays import readable
from spikewright.errors import SimulationError
from spikewright.graph.layers import Activation, Shape
from spikewright.measure.readout import EveryStep, read_out_at_every_step


@dataclass(frozen=True, eq=False)
class Output:
    """An output: its name, the shape of a sample's values, and the activation on what is read."""

    name: str
    shape: Shape
    activation: Activation | None = None

    @property
    def classes(self) -> int:
        """How many classes its values tell apart: one value a class, or a sigmoid; else 0."""
        if self.shape == (1,):
            return 2 if self._is("sigmoid") else 0
        return self.shape[0] if len(self.shape) == 1 else 0

    @property
    def probable(self) -> bool:
        """Whether its values are probabilities."""
        return self._is("softmax") or self._is("sigmoid")

    def _is(self, function: str) -> bool:
        return self.activation is not None and self.activation.function == function

    def activated(self, values: NDArray) -> NDArray:
        """Values `(..., *shape)` as they are read out."""
        if self.activation is None:
            return values
        flat = values.reshape(-1, *self.shape)
        return self.activation.evaluate(flat).reshape(values.shape)

    def at_every_step(self, raw: NDArray, readout: EveryStep, dt: float) -> NDArray:
        """Raw values `(samples, steps, *shape)`, read out at every step."""
        return self.activated(read_out_at_every_step(raw, readout, dt))

    def decided(self, values: NDArray) -> NDArray:
        """The class that values `(..., classes)` stand for: the largest, or above one half."""
        return values.argmax(axis=-1) if self.shape != (1,) else (values[..., 0] > 0.5).astype(int)


@dataclass(frozen=True, eq=False)
class Truth:
    """Class labels `(samples,)`, or target values `(samples, *shape)`."""

    kind: Literal["labels", "targets"]
    values: NDArray


def truth_of(given: Any, output: Output, samples: int) -> Truth:
    """What a user gave for an output as labels or targets.

    Whole numbers, one a sample, are class labels, `(samples,)` or `(samples, 1)`; real numbers of
    the output's shape are targets (one a sample will do for one value). Raises `SimulationError`
    for what is neither.
    """
    values = np.asarray(readable(given))
    if values.dtype.kind not in "biuf" or len(values.shape) < 1 or len(values) != samples:
        raise SimulationError(
            f"y of output {output.name!r} must hold {samples} numbers or arrays of numbers, one a "
            f"sample, got shape {values.shape} of {values.dtype}"
        )
    whole = values.dtype.kind in "biu"
    if whole and output.classes and values.shape == (samples, 1):
        values = values.reshape(samples)  # as Keras keeps them
    single = values.shape == (samples,)
    if not whole and (values.shape[1:] == output.shape or (single and output.shape == (1,))):
        targets = values.astype(np.float64).reshape(samples, *output.shape)
        if not np.all(np.isfinite(targets)):
            raise SimulationError(f"y of output {output.name!r} holds NaN or infinity")
        return Truth("targets", targets)
    if single and output.classes and (whole or np.all(values == np.floor(values))):
        _check_labels(values, output)
        return Truth("labels", values.astype(np.int64))
    raise SimulationError(_neither(values, output))


def _check_labels(labels: NDArray, output: Output) -> None:
    if np.any((labels < 0) | (labels >= output.classes)):
        raise SimulationError(
            f"labels of output {output.name!r} run from {labels.min():g} to {labels.max():g}; for "
            f"its {output.classes} classes they must lie between 0 and {output.classes - 1}"
        )


def _neither(values: NDArray, output: Output) -> str:
    shape = ", ".join(["samples", *map(str, output.shape)])
    labels = "class labels are whole numbers, (samples,)"
    if not output.classes:
        labels = f"values of shape {output.shape} without a sigmoid tell no classes apart"
    return (
        f"y of output {output.name!r} is neither labels nor targets: {labels}; targets are floats, "
        f"({shape}); got shape {values.shape} of {values.dtype}"
    )
