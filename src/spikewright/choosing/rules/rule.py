"""The base class of scale rules, the registry that names every one of them, and rules as text.

A firing-rate scale s and a threshold theta are equivalent: theta = 1 / (s dt) is the value that one
spike a step means. Neurons of a layer with at most c spikes a step send values in [0, c theta], in
T steps as multiples of theta / T.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright._base.registries import Registry
from spikewright._base.schema import AboveZero, Positive, Where
from spikewright._base.spec_strings import SpecParser
from spikewright.choosing.rules.context import NeuronConfig, RuleContext, ScaleChoice
from spikewright.choosing.statistics.sensitivity import BOUND
from spikewright.choosing.statistics.statistics import LayerStatistics, Sharing
from spikewright.errors import ConversionError, Refusal
from spikewright.measure.readout import EveryStep, kind_of, known

RULES: Registry[type[ScaleRule]] = Registry("rule")
"""Every registered rule, by the name that the command line knows it by (read only)."""

R = TypeVar("R", bound="type[ScaleRule]")

Percent = Annotated[float, Where(lambda p: 0 < p <= 100, "above 0 and at most 100")]
"""A percentile."""

_SEARCHED_STEPS = 4  # of the rules whose proportions are searched


class ScaleRule(ABC):
    """Chooses firing-rate scales; `scale_firing_rates=` takes one.

    Rules are frozen dataclasses: rules that are equal choose together.
    """

    needs_data: ClassVar[bool] = True
    tried: ClassVar[Literal["always", "capped", "never"]] = "always"
    """When searches try the rule by default; "capped": where a cap bounds spikes."""

    def __post_init__(self) -> None:
        """Raise `ConversionError` for fields that are not as declared."""
        check_fields(self)

    def __str__(self) -> str:
        """The rule with those of its arguments that are not the default."""
        return brief(self)

    @classmethod
    def compared(cls, steps: int, dt: float, cap: int | None) -> Mapping[str, ScaleRule]:
        """The rules of this kind that `best_rule` compares, by name, for neurons with a `cap`.

        By default the one for runs of `steps` steps of `dt` seconds, as `tried` says; none where it
        takes more than that.
        """
        if cls.tried == "never" or (cls.tried == "capped" and cap is None):
            return {}
        takes = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        given = {name: v for name, v in (("steps", steps), ("dt", dt)) if name in takes}
        return {cls.__name__: cls(**given)} if _required(takes.values()) <= {*given} else {}

    @classmethod
    def searched(cls) -> Mapping[str, ScaleRule | None]:
        """The rules of this kind whose proportions `tune` searches, by name; None: least error.

        By default that of runs of four steps, as in `compared`.
        """
        return cls.compared(_SEARCHED_STEPS, 0.001, None)

    @abstractmethod
    def choose(self, context: RuleContext) -> dict[str, ScaleChoice]:
        """The scale of every layer of `context.settings`.

        Raises `ConversionError` for layers that it has no answer for.
        """


def _required(declared: Iterable[Field[Any]]) -> set[str]:
    """The names of fields without a default."""
    return {f.name for f in declared if f.default is MISSING and f.default_factory is MISSING}


class LayerRule(ScaleRule):
    """A rule that looks at one layer at a time, or at one channel."""

    per: Sharing

    @abstractmethod
    def threshold(self, layer: LayerStatistics, setting: NeuronConfig) -> NDArray:
        """Thresholds `(channels,)`, or one for the layer; 0 where the data gives none.

        Raises `ConversionError` where the neurons leave the question open.
        """

    @property
    def period(self) -> float:
        """Seconds in which a neuron whose value is the threshold spikes once."""
        return float(self.dt)  # type: ignore[attr-defined]

    def choose(self, context: RuleContext) -> dict[str, ScaleChoice]:
        """See `ScaleRule.choose`."""
        refusals, found = [], {}
        for name, setting in context.settings.items():
            try:
                layer = context.layer(name)
                found[name] = self._choice(layer, self.threshold(layer, setting))
            except ConversionError as error:
                refusals += [Refusal(name, str(self), r.reason, r.options) for r in error.refusals]
        if refusals:
            raise ConversionError(refusals)
        return found

    def _choice(self, layer: LayerStatistics, thresholds: NDArray) -> ScaleChoice:
        filled, silent = fill_silent(layer, thresholds)
        scale = 1.0 / (filled * self.period)
        text = (
            f"{self}: a spike every {self.period * 1000:g} ms means {format_range(filled)}, "
            f"scale {format_range(scale)}{format_ranges(layer, self.per)}"
            f"{format_silence(layer, silent)}"
        )
        return ScaleChoice(layer.spread(scale), text, layer.is_silent)


@dataclass(frozen=True)
class StepsRule(LayerRule):
    """A rule for runs of `steps` steps of `dt` seconds, in which neurons have a cap on spikes.

    `spikes_per_step` makes room for that many where there is no cap, or a larger one.
    """

    steps: Positive
    dt: AboveZero = 0.001
    per: Sharing = "channel"
    spikes_per_step: Positive | None = None
    readout: EveryStep = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if kind_of(self.readout) is None:
            raise refused(self, "readout", f"it is {known()}, got {self.readout!r}")

    def window(self, setting: NeuronConfig) -> float:
        """The number of steps that the readout averages over."""
        return setting.window(self.steps, self.dt, self.readout)

    def most(self, setting: NeuronConfig) -> float:
        """The most spikes in the readout's steps that it counts on, those taken as sent too.

        Raises `ConversionError` where nothing bounds them.
        """
        window = self.window(setting)
        return setting.code(window, self.steps, self.cap(setting)).most * window

    def cap(self, setting: NeuronConfig) -> int:
        """The most spikes a step that it counts on: the neurons' cap, or the user's choice.

        Raises `ConversionError` where neither bounds them.
        """
        wanted, own = self.spikes_per_step, setting.cap
        bounds = [bound for bound in (wanted, own) if bound is not None]
        if bounds:
            return min(bounds)
        raise refused(
            self,
            "spikes_per_step",
            "nothing bounds the spikes of these neurons, and without a bound the smaller the "
            "threshold the smaller the error",
            "Give spikes_per_step=1 to the rule, which then makes room for one spike a step on any "
            "neurons, or max_spikes_per_step=1 to sw.convert, which caps them",
        )


def fill_silent(layer: LayerStatistics, thresholds: NDArray) -> tuple[NDArray, int]:
    """Thresholds above 0 everywhere, and the number of those that were not.

    Silent channels get the layer's largest threshold, at which they spike least; a silent layer
    gets the largest magnitude of its currents, or of the terms behind its rounding errors, or else
    1. No spike means less than a rounding error.
    """
    known = np.isfinite(thresholds) & (thresholds > 0)
    other = float(thresholds[known].max()) if np.any(known) else _guess(layer)
    filled = np.where(known, thresholds, other)
    if layer.least is not None:
        filled = np.maximum(filled, layer.least if len(filled) > 1 else layer.least.min())
    return filled, int((~known).sum())


def _guess(layer: LayerStatistics) -> float:
    """The threshold of a silent layer."""
    ends = max(abs(float(layer.values.lowest.min())), abs(float(layer.values.highest.max())))
    terms = 0.0 if layer.least is None else float(layer.least.max()) / BOUND
    return ends or terms or 1.0


def format_silence(layer: LayerStatistics, silent: int) -> str:
    """The text of a trace on a layer with so many silent channels; empty where none is silent."""
    if layer.is_silent:
        what = "nothing but rounding errors" if layer.rounded else "nothing"
        return f"; it sends {what} on the calibration data, so that this is a guess"
    text = f"; {silent} of {layer.values.channels} channels send nothing on the data"
    if layer.rounded and layer.least is not None:
        rounded = f"; values below {format_range(layer.least)} are rounding errors and count as 0"
        return text + rounded if silent else rounded
    return text if silent else ""


def format_ranges(layer: LayerStatistics, per: Sharing) -> str:
    """The text of a trace on channels that have thresholds of their own because of their ranges."""
    if per != "auto" or not layer.is_wide:
        return ""
    return f", for each channel: the largest values of channels span {format_range(layer.largest)}"


def brief(item: Any) -> str:
    """A dataclass as Python code, without the arguments that have their default."""
    given = [(f, getattr(item, f.name)) for f in fields(item)]
    given_fields = [
        f"{f.name}={value}"
        for f, value in given
        if f.default is MISSING or value != f.default
        if f.default_factory is MISSING or value != f.default_factory()
    ]
    return f"{type(item).__name__}({', '.join(given_fields)})"


def format_range(values: NDArray, digits: int = 4) -> str:
    """A number, or the range of several."""
    low, high = float(values.min()), float(values.max())
    return f"{low:.{digits}g}" if low == high else f"{low:.{digits}g}..{high:.{digits}g}"


register = RULES.named
"""Class decorator: make a rule known to the command line, tests and documentation."""


def refused(rule: object, field: str, reason: str, options: str = "") -> ConversionError:
    """An error about one argument of a rule, or of a correction."""
    return refuse(f"{type(rule).__name__}.{field}", reason, options)


def check_fields(owner: Any) -> None:
    """Raise `ConversionError` for a field of a dataclass that is not as its declaration says.

    Conditions and literals are looked at; numbers may be NumPy's.
    """
    hints = get_type_hints(type(owner), include_extras=True)
    for name in (f.name for f in fields(owner)):
        value, wanted = getattr(owner, name), _wanted(hints[name])
        if not (wanted is None or wanted.holds(value)):
            raise refused(owner, name, f"it must be {wanted.words}, got {value!r}")


def _wanted(hint: Any) -> Where | None:
    """The condition of a declaration; None where it has none."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        *others, last = (f'"{option}"' for option in options)
        words = f"{', '.join(others)} or {last}"
        return Where(lambda value: isinstance(value, str) and value in options, words)
    if origin is Annotated:
        kind, where = options
        fits = is_whole if kind is int else is_number
        return Where(lambda value: fits(value) and where.holds(value), where.words)
    inner = _wanted(options[0]) if type(None) in options else None
    if inner is None:
        return None
    return Where(lambda value: value is None or inner.holds(value), inner.words)


parse = SpecParser("rule", RULES, {"ScaleRule": None, "ScaleRule | None": None})
"""The rule that `name:value,value,field=value` means, values in the order of its fields.

Raises `ValueError` for unknown names and fields and for values that do not fit, and
`ConversionError` for values that the rule refuses.
"""
