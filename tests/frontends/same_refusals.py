"""Models that not every reader takes, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from same_layers import image
from same_models import L, Same, chain
from torch import nn


@dataclass(frozen=True)
class Only:
    """A model that some readers refuse, with words of their refusal; others are `lacking` a form.

    `why` says what keeps them from taking it.
    """

    model: Same
    why: str
    refused: Mapping[str, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


_BORDER = partial(nn.ConstantPad2d, (0, 1, 0, 1), -np.inf)

ONLY: Mapping[str, Only] = {
    "maxima over a border of minus infinity": Only(
        image(L.MaxPooling2D(3, 2, padding="same"), chain(_BORDER, partial(nn.MaxPool2d, 3, 2))),
        "the operator Pad stands alone, and no graph holds infinite values",
        {"onnx": "it pads with -inf"},
    ),
}  # fmt: skip
