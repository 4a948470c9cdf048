"""A conversion as the call that makes it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arrays import is_array
from spikewright.conversion.pipeline import convert
from spikewright.frontends import example_for
from spikewright.measure import After
from spikewright.network.neurons import NeuronType
from spikewright.network.synapses import Synapse
from spikewright.quantising import Quantised

_DEFAULTS = {name: given.default for name, given in signature(convert).parameters.items()}


def source_text(model: Any, example_input: Any, x: Any) -> str:
    """The text of the model argument of `sw.convert`: a path as it is, anything else by name.

    With its example input, the first of the data `x` where a module has no other.
    """
    named = repr(str(model)) if isinstance(model, str | Path) else "model"
    if example_for(model, example_input, x) is None:
        return named
    first = example_input is None and is_array(x)
    return f"{named}, example_input={'x[:2]' if first else 'example_input'}"


def call(model: str, arguments: Mapping[str, Any]) -> str:
    """`sw.convert(...)` with those arguments that differ from the defaults."""
    given = [
        f"{name}={text(value)}"
        for name, value in arguments.items()
        if not (name in _DEFAULTS and _same(value, _DEFAULTS[name])) and value is not None
    ]
    return f"sw.convert({', '.join([model, *given])})"


def again(conversion: str, numbers: Mapping[str, Any], changed: Iterable[str]) -> str:
    """`CONVERSION.again(...)` with those of the arguments that are changed."""
    given = ", ".join(f"{name}={text(numbers[name])}" for name in changed)
    return f"{conversion}.again({given})"


def imports(code: str) -> list[str]:
    """The lines of imports that this code, made here, needs."""
    return [*(["import numpy as np"] if "np." in code else []), "import spikewright as sw"]


def run_line(steps: int, dt: float, readout: Any) -> str:
    """The line that runs `conversion`, the result of a call, on `x`, and reads it out."""
    return f"conversion.run(x, steps={steps}, dt={text(dt)}).predict({text(readout)})"


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def text(value: Any) -> str:
    """A value as Python, with NumPy as `np` and the package as `sw`; evaluated, the same value."""
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text(name)}: {text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, type) and issubclass(value, NeuronType):
        return f"sw.{value.__name__}"
    if isinstance(value, NeuronType | Quantised | Synapse | After):
        return f"sw.{value!r}"
    if isinstance(value, float):
        return f"{value!r}"
    return repr(value)


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
