"""The truth about outputs: class labels, or target values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import readable
from spikewright._base.samples import format_shape, held
from spikewright.errors import SimulationError
from spikewright.graph.layers import Activation, Shape
from spikewright.measure.readout import EveryStep, read_out_at_every_step


@dataclass(frozen=True, eq=False)
class Output:
    """An output: its name, the shape of a sample's values, and the activation on the readout."""

    name: str
    shape: Shape
    activation: Activation | None = None

    @property
    def single(self) -> bool:
        """Whether it gives one number a sample."""
        return self.shape in ((), (1,))

    @property
    def classes(self) -> int:
        """The number of classes of its values: one value a class, or a sigmoid; else 0."""
        if self.single:
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
        """The class that values `(..., *shape)` stand for: the largest, or above one half."""
        return (self.number(values) > 0.5).astype(int) if self.single else values.argmax(axis=-1)

    def number(self, values: Any) -> Any:
        """Values `(..., *shape)` of one number a sample, `(...)`: an array or a tensor."""
        return values[..., 0] if self.shape else values


@dataclass(frozen=True, eq=False)
class Truth:
    """Class labels `(samples,)`, target values `(samples, *shape)`, or a metric's truth."""

    kind: Literal["labels", "targets", "given"]
    values: NDArray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, part: slice) -> Truth:
        return Truth(self.kind, self.values[part])


def truth_of(given: Any, output: Output, samples: int) -> Truth:
    """Labels or targets of an output, as a user gave them.

    Class labels are whole numbers, one a sample, `(samples,)` or `(samples, 1)`, of any type; of
    one sigmoid they are zeros and ones. Rows of zeros with a single one are labels too, as wide as
    the output has classes. Other real numbers of the output's shape are targets (one a sample will
    do for one value). Raises `SimulationError` for arrays that are neither.
    """
    try:
        values = np.asarray(readable(given))
    except TypeError as error:
        raise SimulationError(f"y of output {output.name!r}: {error}") from None
    if values.dtype.kind not in "biuf" or len(values.shape) < 1 or len(values) != samples:
        raise SimulationError(
            f"y of output {output.name!r} must hold {samples} labels or targets, a number or an "
            f"array of numbers for each sample, got shape {values.shape} of {values.dtype}"
        )
    labels = _labels(values, output)
    if labels is not None:
        _check_labels(labels, output)
        return Truth("labels", labels.astype(np.int64))
    targets = held(values, output.shape) if values.dtype.kind == "f" else None
    if targets is not None:
        if not np.all(np.isfinite(targets)):
            raise SimulationError(f"y of output {output.name!r} holds NaN or infinity")
        return Truth("targets", targets.astype(np.float64))
    raise SimulationError(_neither(values, output))


def labels_of(given: Any, output: Output, samples: int) -> NDArray[np.int64]:
    """Class labels `(samples,)` as a user gave them; raises `SimulationError` for anything else."""
    truth = truth_of(given, output, samples)
    if truth.kind != "labels":
        raise SimulationError(
            f"y of output {output.name!r} holds values of shape {truth.values.shape}, and class "
            "labels are needed: one whole number a sample, or rows of zeros with a single one"
        )
    return truth.values


def _labels(values: NDArray, output: Output) -> NDArray | None:
    """The classes that values name, `(samples,)`; None where they are no labels."""
    if not output.classes:
        return None
    if values.shape[1:] == output.shape and not output.single:
        return _of_rows(values, output)
    column = values.reshape(len(values)) if values.shape[1:] in ((), (1,)) else None
    if column is None or values.dtype.kind in "biu":
        return column
    whole = np.all(column == np.floor(column))
    # real numbers are what a sigmoid gives too: only zeros and ones are certainly classes
    certain = not output.single or np.all((column == 0) | (column == 1))
    return column if whole and certain else None


def _of_rows(rows: NDArray, output: Output) -> NDArray | None:
    """The classes of rows `(samples, classes)` of zeros with a single one; None of other values.

    Raises `SimulationError` where only some rows of zeros and ones are such: they may be damaged.
    """
    if not np.all((rows == 0) | (rows == 1)):
        return None
    one_hot = (rows == 1).sum(axis=1) == 1
    if np.all(one_hot):
        return rows.argmax(axis=1)
    if np.any(one_hot) and not output._is("sigmoid"):
        row = int(np.argmin(one_hot))
        raise SimulationError(
            f"y of output {output.name!r} holds zeros and ones, and a single one in "
            f"{int(one_hot.sum())} of {len(rows)} rows; row {row} is not such a row: give the "
            "class of each sample, or metric=f(outputs, y) for several classes at once"
        )
    return None


def _check_labels(labels: NDArray, output: Output) -> None:
    if np.any((labels < 0) | (labels >= output.classes)):
        raise SimulationError(
            f"labels of output {output.name!r} run from {labels.min():g} to {labels.max():g}; for "
            f"its {output.classes} classes they must lie between 0 and {output.classes - 1}"
        )


def _neither(values: NDArray, output: Output) -> str:
    labels = (
        "class labels are whole numbers, (samples,), or rows of zeros with a single one, "
        f"(samples, {output.classes})"
    )
    if not output.classes:
        labels = f"values of shape {output.shape} without a sigmoid tell no classes apart"
    elif output.single:
        labels = "class labels are zeros and ones, (samples,)"
    return (
        f"y of output {output.name!r} is neither labels nor targets: {labels}; targets are floats, "
        f"{format_shape(output.shape)}; got shape {values.shape} of {values.dtype}"
    )
