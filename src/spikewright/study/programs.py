"""A conversion as the code that makes it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_array
from spikewright.choosing.correction import looks_at_data
from spikewright.conversion import Conversion, convert
from spikewright.frontends import example_for
from spikewright.network.neurons import NeuronType
from spikewright.network.synapses import Synapse

_DEFAULTS = {name: given.default for name, given in signature(convert).parameters.items()}
_PACKAGE = __name__.partition(".")[0]
_FEW = 16  # numbers that are as good to read as the rule that they come from


@dataclass(frozen=True, eq=False)
class ModelReference:
    """A model as code names it, and its example input, which a PyTorch module needs.

    `base` are the arguments of a model that is a `Conversion`, None of any other. `data` are
    samples that a study looks at with the code for each, `None` those of rules that name no others.
    """

    text: str
    example: Any = None
    base: Mapping[str, Any] | None = None
    data: tuple[tuple[Any, str], ...] = ()

    @classmethod
    def of(cls, model: Any, example_input: Any, x: Any, **data: Any) -> ModelReference:
        """The origin of an argument of that name; `data` are arguments that hold samples."""
        base = model.arguments if isinstance(model, Conversion) else None
        example = None if base is not None else example_for(model, example_input, x)
        known = [(value, name) for name, value in {"x": x, **data}.items() if value is not None]
        return cls(source_text(model, example_input, x), example, base, tuple(known))

    def named(self, samples: Any) -> str | None:
        """The code for some samples; None where they have none."""
        return next((text for known, text in self.data if known is samples), None)


MODEL = ModelReference("model")
"""A model of which nothing is known but that code names it so."""


def source_text(model: Any, example_input: Any, x: Any) -> str:
    """The text of the model argument of `sw.convert`: a path as it is, anything else by name.

    With its example input, the first of the data `x` where a module has no other.
    """
    named = repr(str(model)) if isinstance(model, str | Path) else "model"
    if isinstance(model, Conversion) or example_for(model, example_input, x) is None:
        return named
    first = example_input is None and is_array(x)
    return f"{named}, example_input={'x[:2]' if first else 'example_input'}"


def program(
    origin: ModelReference | None,
    numbers: Mapping[str, Any],
    given: Mapping[str, Any],
    read: tuple[int, float, Any],
) -> str:
    """Lines that make a network and run it for some steps of `dt` seconds under a readout.

    `numbers` are its arguments without data, `given` those that they come from: a rule stands in
    the place of more than some numbers where the code can name the samples that it looks at. An
    origin of None is a trained network, which no arguments make: it is `result.best.conversion`.
    """
    writer = ProgramWriter()
    if origin is None:
        made = "result.best.conversion"
    else:
        arguments, data = _shortest(origin, numbers, given)
        if origin.base is None:
            made = writer.call(origin.text, arguments, data)
        else:
            made = writer.replace(origin.text, arguments, [*given, "calibration"], data)
    run = writer.run(*read)
    return "\n".join([*writer.imports(f"{made}{run}"), f"conversion = {made}", run])


def _shortest(
    origin: ModelReference, numbers: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Arguments with a rule in the place of many numbers, and the code of the data it looks at."""
    return with_rules(numbers, given, origin.named(given.get("calibration")))


def with_rules(
    numbers: Mapping[str, Any], given: Mapping[str, Any], data: str | None
) -> tuple[dict[str, Any], str | None]:
    """Arguments with a rule in the place of many numbers, and `data` where a rule looks at it.

    `given` are the arguments that the numbers come from; with no code for the data they stay.
    """
    if given.get("steps") is not None and data is not None:  # all of them were chosen for these
        return {name: value for name, value in given.items() if name != "calibration"}, data
    code = {"coding": given.get("coding")}
    rules = {
        name: given[name]
        for name, value in numbers.items()
        if name in given
        and _size(value) > _FEW
        and looks_at_data({name: given[name], **(code if name == "scale_firing_rates" else {})})
    }
    if not rules or data is None:
        return dict(numbers), None
    return {**numbers, **rules}, data


def _size(value: Any) -> int:
    """How many numbers a value holds."""
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return int(np.size(value)) if isinstance(value, np.ndarray | float | int) else 0


@dataclass(eq=False)
class ProgramWriter:
    """Writes calls and values as Python, and keeps the imports that classes from elsewhere need."""

    needed: dict[str, None] = field(default_factory=dict)

    def imports(self, code: str) -> list[str]:
        """The lines of imports for code that was written here."""
        arrays = ["import numpy as np"] if "np." in code else []
        return [*arrays, f"import {_PACKAGE} as sw", *self.needed]

    def call(self, model: str, arguments: Mapping[str, Any], data: str | None = None) -> str:
        """`sw.convert(...)` with those arguments that differ from the defaults."""
        given = [
            f"{name}={self.text(value)}"
            for name, value in arguments.items()
            if not (name in _DEFAULTS and _same(value, _DEFAULTS[name])) and value is not None
        ]
        return f"sw.convert({', '.join([model, *given, *_calibration(data)])})"

    def replace(
        self,
        conversion: str,
        numbers: Mapping[str, Any],
        changed: Iterable[str],
        data: str | None = None,
    ) -> str:
        """`CONVERSION.replace(...)` with those of the arguments that are changed."""
        names = [name for name in dict.fromkeys(changed) if not (data and name == "calibration")]
        given = [f"{name}={self.text(numbers[name])}" for name in names]
        return f"{conversion}.replace({', '.join([*given, *_calibration(data)])})"

    def run(self, steps: int, dt: float, readout: Any) -> str:
        """The line that runs `conversion`, the result of a call, on `x`, and reads it out."""
        return f"conversion.run(x, steps={steps}, dt={self.text(dt)}).predict({self.text(readout)})"

    def text(self, value: Any) -> str:
        """A value as Python, with NumPy as `np` and the package as `sw`; evaluated, the same."""
        if isinstance(value, np.ndarray):
            return _array(value)
        if isinstance(value, Mapping):
            items = (f"{self.text(name)}: {self.text(item)}" for name, item in value.items())
            return "{" + ", ".join(items) + "}"
        if isinstance(value, type):
            return self._class(value)
        if is_dataclass(value):
            state = getattr(value, "initial_state", None) if isinstance(value, NeuronType) else None
            kept = [f"initial_state={self.text(state)}"] if state else []
            return f"{self._class(type(value))}({', '.join([*self._fields(value), *kept])})"
        if isinstance(value, Synapse):
            return self._class(type(value)) + repr(value).removeprefix(type(value).__qualname__)
        return repr(value)

    def _fields(self, value: Any) -> list[str]:
        """The fields of a dataclass that differ from their defaults."""
        return [
            f"{item.name}={self.text(found)}"
            for item in fields(value)
            if item.init
            and ((found := getattr(value, item.name)) is not item.default)
            and (item.default is MISSING or not _same(found, item.default))
        ]

    def _class(self, kind: type) -> str:
        """A class by name: of the package as `sw.Name`; of another module it is imported."""
        if kind.__module__.partition(".")[0] == _PACKAGE:
            return f"sw.{kind.__qualname__}"
        if kind.__module__ not in ("__main__", "builtins"):
            top = kind.__qualname__.partition(".")[0]
            self.needed[f"from {kind.__module__} import {top}"] = None
        return kind.__qualname__


def _calibration(data: str | None) -> list[str]:
    return [] if data is None else [f"calibration={data}"]


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _array(value: NDArray) -> str:
    numbers = ", ".join(_number(float(v)) for v in value.reshape(-1))
    whole = not set(numbers) & set(".e")
    kind = ", float" if whole and value.dtype.kind == "f" else ""
    shape = "" if value.ndim == 1 else f".reshape{value.shape}"
    return f"np.array([{numbers}]{kind}){shape}"


def _number(value: float) -> str:
    """The shortest text of a number that gives the same one again."""
    short = f"{value:g}"
    return short if float(short) == value and short != "-0" else f"{value!r}"
