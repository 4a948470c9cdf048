"""Times that are in milliseconds by mistake."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from spikewright._base.callers import outside

_LONG: dict[str, float] = {"tau_rc": 1.0, "tau_ref": 1.0, "tau": 1.001, "t": 1.001}
"""Seconds from which on a time is taken for milliseconds: some synapses have a whole second."""


def warn_of_milliseconds(owner: object, *names: str) -> None:
    """Warn of times, fields of `owner` in seconds, that are plausible in milliseconds alone."""
    for name in names:
        value: Any = getattr(owner, name)
        longest = float(np.max(value))
        if np.isfinite(longest) and longest >= _LONG[name]:
            warnings.warn(
                f"{type(owner).__name__}.{name} is {longest:g} s, for times are in seconds; if "
                f"{longest:g} ms is meant, give {longest / 1000:g}",
                stacklevel=outside(),
            )
