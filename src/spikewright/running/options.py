"""Options of runs of converted networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from spikewright._base.options import Option
from spikewright.engines.settings import RunOptions
from spikewright.running.encoders import Encoder


class EncodedOptions(RunOptions, total=False):
    """Options of a run with encoded inputs."""

    encoder: Annotated[
        Encoder | Mapping[str, Encoder] | None,
        Option(None, "Encoder of inputs, or of each by its name (default: held constant)."),
    ]
