"""The rounded twin of signed digits as its formula says, on the graph, for laws to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from spikewright.choosing.silent_steps import digit_unit
from spikewright.graph import evaluate_all


def units_of(conversion: sw.Conversion) -> dict[str, NDArray]:
    """The value of each layer's last digit, which broadcasts to the layer's shape."""
    return {name: digit_unit(ensemble) for name, ensemble in conversion.populations().items()}


def rounded_values(conversion: sw.Conversion, x: Any) -> dict[str, NDArray]:
    """The values of all nodes, each activation rounded to whole units, ties going up."""
    units, steps = units_of(conversion), conversion.coding.steps
    assert steps is not None
    most = 2**steps - 1

    def passed_on(name: str, value: NDArray) -> NDArray:
        if name not in units:
            return value
        return np.asarray(np.clip(np.floor(value / units[name] + 0.5), -most, most) * units[name])

    return evaluate_all(conversion.canonical, conversion.as_inputs(x), passed_on)
