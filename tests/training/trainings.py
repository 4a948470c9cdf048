"""Short trainings."""

from __future__ import annotations

from typing import Any

import spikewright as sw

STEPS = 2


def trained(conversion: sw.Conversion, x: Any, y: Any = None, **how: Any) -> Any:
    """A short training."""
    usual = {"steps": STEPS, "epochs": 3, "learning_rate": 2e-3, "progress": False}
    return conversion.train(x, y, **{**usual, **how})
