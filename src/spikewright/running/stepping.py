"""Feeds of a network whose time is that of a sequence: each of its steps is held for some steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ConversionError, Refusal, SimulationError
from spikewright.lower import Stepping
from spikewright.network import Node
from spikewright.running.encoders import Frames
from spikewright.running.encoding import Encoded, Feeds, feeds_of


def sequence_feeds(
    stepping: Stepping,
    x: Mapping[str, Any],
    inputs: Mapping[str, Node],
    encoder: Any,
    steps: int | None,
    dt: float,
    seed: int,
) -> Feeds:
    """The feeds of a run: sequences `(batch, time, *shape)` of any one length, step by step.

    Inputs without time are `(batch, *shape)`. Raises `SimulationError` for shapes that do not fit,
    sequences of several lengths, a number of steps that the sequences do not take, and an encoder.
    """
    if encoder is not None:
        raise SimulationError(
            "with sequence_step every step of a sequence is held as a constant current: leave "
            f"encoder out, got {encoder!r}"
        )
    timed = [name for name, time in stepping.inputs.items() if time is not None]
    fed = feeds_of(x, inputs, dict.fromkeys(timed, Frames(stepping.steps)), None, dt, seed)
    lengths = {
        name: np.shape(value.samples)[1]
        for name in timed
        if isinstance(value := fed.values[inputs[name]], Encoded)
    }
    if len(set(lengths.values())) > 1:
        raise SimulationError(f"sequences differ in length: {lengths} steps")
    if steps is not None and steps != fed.steps:
        (length,) = set(lengths.values())
        raise SimulationError(
            f"{length} steps of the sequence, each of {stepping.steps} steps (sequence_step), take "
            f"{fed.steps} steps, got steps={steps!r}: leave it out"
        )
    return fed


def refuse_sequences(stepping: Stepping | None, what: str) -> None:
    """Raise `ConversionError` where time is that of a sequence, which `what` cannot handle."""
    if stepping is not None:
        reason = f"{what} looks at values that are held for a run, and those of a sequence are not"
        options = "Use run and predict, or convert without sequence_step"
        raise ConversionError([Refusal(what, "method", reason, options)])


def stepped(
    stepping: Stepping, arrays: Mapping[str, NDArray], inputs: Mapping[str, Node]
) -> tuple[int, dict[Node, NDArray]]:
    """The length of sequences, and the feeds if each of their steps lasts one step."""
    given = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    feeds: dict[Node, NDArray] = {}
    for name, value in given.items():
        time, node = stepping.inputs[name], inputs[name]
        moved = value[:, None] if time is None else np.moveaxis(value, time + 1, 1)
        feeds[node] = moved.reshape(*moved.shape[:2], *node.shape_out)
    return stepping.length(given), feeds
