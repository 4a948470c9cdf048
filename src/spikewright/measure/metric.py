"""A measure of a user's own: the score of each sample's outputs, more being better."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import readable
from spikewright.errors import SimulationError
from spikewright.measure.readout import EveryStep
from spikewright.measure.scores import confidences, exit_steps
from spikewright.measure.tally import Key
from spikewright.measure.truth import Output, Truth

_TAKEN = ("agreement", "energy", "accumulates")  # names of records that a function could have

Values = Mapping[str, NDArray]


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
        told = [self.name, content, getattr(function, "__defaults__", None), given]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    @property
    def _parts(self) -> tuple[Any, list[Any]]:
        """The function behind `functools.partial`, and the arguments of that."""
        function, given = self.function, []
        while isinstance(function, functools.partial):
            given.append((function.args, sorted(function.keywords.items())))
            function = function.func
        return function, given

    def __call__(self, outputs: Values, y: Any) -> NDArray[np.float64]:
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


def metric_scores(
    metric: Metric,
    outputs: Mapping[str, Output],
    raw: Values,
    models: Mapping[str, Values],
    truths: Mapping[str, Truth],
    readouts: Sequence[EveryStep],
    dt: float,
    thresholds: Sequence[float] = (),
) -> dict[Key, NDArray]:
    """Scores of all outputs together: rows of a `Tally`, under the one output's name, or "".

    `raw` are outputs before their activations, `(samples, steps, *shape)`, `models` the answers of
    models without time ("source", "twin"), `(samples, *shape)`. Rows are `(samples, steps)`, of
    models `(samples,)`, of early exits `(samples, thresholds)`.
    """
    place, y = place_of(outputs), given_of(truths)
    rows: dict[Key, NDArray] = {}
    for which, values in models.items():
        if values:
            rows[f"{which} score", place] = metric(values, y)
    for readout in readouts:
        read = {n: o.at_every_step(raw[n], readout, dt) for n, o in outputs.items()}
        steps = next(iter(read.values())).shape[1]
        columns = [metric({n: v[:, t] for n, v in read.items()}, y) for t in range(steps)]
        rows["score", place, str(readout)] = np.stack(columns, axis=1)
    if thresholds:
        output = outputs[place]
        at = exit_steps(confidences(raw[place], output, dt), thresholds) - 1
        means = output.at_every_step(raw[place], "mean", dt)
        left = [metric({place: means[np.arange(len(means)), t]}, y) for t in at.T]
        rows["exit score", place] = np.stack(left, axis=1)
    return rows


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


def given_of(truths: Mapping[str, Truth]) -> Any:
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


def _shapes(values: Values) -> Any:
    shapes = {name: array.shape for name, array in values.items()}
    return shapes if len(shapes) > 1 else next(iter(shapes.values()))
