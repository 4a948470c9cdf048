"""Targets of outputs: class labels, target values, or what a user's metric compares with."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
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
class Targets:
    """Class labels `(samples,)`, target values `(samples, *shape)`, or what a metric is given."""

    kind: Literal["labels", "targets", "given"]
    values: NDArray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, part: slice) -> Targets:
        return Targets(self.kind, self.values[part])


def targets_of(given: Any, output: Output, samples: int) -> Targets:
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
        return Targets("labels", labels.astype(np.int64))
    targets = held(values, output.shape) if values.dtype.kind == "f" else None
    if targets is not None:
        if not np.all(np.isfinite(targets)):
            raise SimulationError(f"y of output {output.name!r} holds NaN or infinity")
        return Targets("targets", targets.astype(np.float64))
    raise SimulationError(_neither(values, output))


def labels_of(given: Any, output: Output, samples: int) -> NDArray[np.int64]:
    """Class labels `(samples,)` as a user gave them; raises `SimulationError` for anything else."""
    truth = targets_of(given, output, samples)
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


_TAKEN = ("agreement", "energy", "accumulates")  # names of records that a function could have


@dataclass(frozen=True)
class Metric:
    """A function `f(outputs, y)` that gives one finite number a sample, more being better.

    `outputs` are values `(samples, *shape)`, of several outputs `{name: array}`, and y is the given
    truth of these samples (None without any).
    """

    function: Callable[[Any, Any], Any]

    @classmethod
    def of(cls, given: Any) -> Metric | None:
        """A metric as a user gives it.

        Raises `SimulationError` for objects that cannot be called, and for the name of another
        measure.
        """
        if given is None or isinstance(given, Metric):
            return given
        if not callable(given):
            raise SimulationError(f"metric must be a function f(outputs, y), got {given!r}")
        metric = cls(given)
        if metric.name in _TAKEN:
            raise SimulationError(
                f"metric: {metric.name!r} is the name of another measure: rename the function"
            )
        return metric

    @property
    def name(self) -> str:
        """The name of the measure: that of the function, "score" of a lambda."""
        function = self._parts[0]
        name = str(getattr(function, "__name__", type(function).__name__))
        return "score" if name == "<lambda>" else name

    @property
    def key(self) -> str:
        """The identity of the function; values that it reads from its surroundings are not seen."""
        function, given = self._parts
        code = getattr(function, "__code__", getattr(type(function).__call__, "__code__", None))
        content = None if code is None else _content(code)
        parts = [self.name, content, getattr(function, "__defaults__", None), given]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def _parts(self) -> tuple[Any, list[Any]]:
        """The function behind `functools.partial`, and the arguments of that."""
        function, given = self.function, []
        while isinstance(function, functools.partial):
            given.append((function.args, sorted(function.keywords.items())))
            function = function.func
        return function, given

    def __call__(self, outputs: Mapping[str, NDArray], y: Any) -> NDArray[np.float64]:
        """Scores `(samples,)` of values `{name: (samples, *shape)}`.

        Raises `SimulationError` for anything else that the function gives, and where it fails.
        """
        values = {name: _protected(array) for name, array in outputs.items()}
        (first, *others) = values.values()
        try:
            given = self.function(values if others else first, y)
            found = np.asarray(readable(given))
        except Exception as error:
            raise SimulationError(
                f"metric {self.name!r} failed on outputs of shape {_shapes(values)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if found.shape != (len(first),) or found.dtype.kind not in "biuf":
            raise SimulationError(
                f"metric {self.name!r} must give one number a sample, ({len(first)},), for outputs "
                f"of shape {_shapes(values)}; got shape {found.shape} of {found.dtype}"
            )
        scores = found.astype(np.float64)
        if not np.all(np.isfinite(scores)):
            bad = scores[~np.isfinite(scores)]
            raise SimulationError(
                f"metric {self.name!r} must give finite numbers, got {bad[0]} for {len(bad)} of "
                f"{len(scores)} samples"
            )
        return scores


def given_for(y: Any, samples: int) -> Any:
    """The truth of so many samples, as a metric takes it: an array, arrays by name, or None.

    Raises `SimulationError` for arrays without a row of numbers or words for each of them.
    """
    named = y if isinstance(y, Mapping) else {} if y is None else {"": y}
    try:
        found = {name: np.asarray(readable(value)) for name, value in named.items()}
    except TypeError as error:
        raise SimulationError(f"y: {error}") from None
    for name, array in found.items():
        if array.ndim == 0 or len(array) != samples or array.dtype.kind not in "biufUS":
            what = f"y of {name}" if name else "y"
            raise SimulationError(
                f"{what} must hold {samples} numbers or words, or arrays of them, one a sample, "
                f"got shape {array.shape} of {array.dtype}"
            )
    return found.get("", found) if found else None


def place_of(outputs: Mapping[str, Any]) -> str:
    """Under which name of an output scores of all outputs stand."""
    return next(iter(outputs)) if len(outputs) == 1 else ""


def given_of(truths: Mapping[str, Targets]) -> Any:
    """The truth as the user gave it: an array, `{name: array}`, or None."""
    found = {name: truth.values for name, truth in truths.items()}
    return found.get("", found) if found else None


def _content(code: CodeType) -> list[Any]:
    """The code of a function, independent of its place in the file."""
    return [code.co_code, code.co_names, *map(_constant, code.co_consts)]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _content(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


def _protected(values: NDArray) -> NDArray:
    """The same values, which the function may not change."""
    view = values.view()
    view.flags.writeable = False
    return view


def _shapes(values: Mapping[str, NDArray]) -> Any:
    shapes = {name: array.shape for name, array in values.items()}
    return shapes if len(shapes) > 1 else next(iter(shapes.values()))
