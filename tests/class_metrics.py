"""Metrics of classifiers, as a user's own functions: `f(outputs, y)`, a number a sample."""

from __future__ import annotations

from typing import Any

import numpy as np


def hit(outputs: Any, y: Any) -> Any:
    """One where the largest value is the label's."""
    return outputs.argmax(axis=1) == y


def lead(outputs: Any, y: Any) -> Any:
    """By how much the right class leads, in the output's own unit."""
    rows = np.arange(len(y))
    others = outputs.copy()
    others[rows, y] = -np.inf
    return outputs[rows, y] - others.max(axis=1)
