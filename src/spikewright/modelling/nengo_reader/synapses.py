"""Synapses: Nengo's by name, a user's own by its step."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.errors import NetworkError
from spikewright.modelling.nengo_reader.kinds import own_kind
from spikewright.modelling.nengo_reader.refusals import refused
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle


def synapse_of(owner: Any, theirs: Any) -> Synapse | None:
    """The filter that a synapse is; None for none, and for one that `is_users` says is a user's.

    Raises `ReadError` naming `owner` for a filter that cannot be made.
    """
    if theirs is None or is_users(theirs):
        return None
    try:
        return _known(theirs)
    except NetworkError as error:
        raise refused(
            owner, f"synapse {theirs!r}", str(error), "use method zoh, bilinear or euler"
        ) from error


def is_users(theirs: Any) -> bool:
    """Whether a synapse is of a class that is not Nengo's."""
    return theirs is not None and own_kind(theirs) not in _READERS


def _known(theirs: Any) -> Synapse:
    return _READERS[own_kind(theirs)](theirs)


def _linear(theirs: Any) -> Synapse:
    num, den = (tuple(np.ravel(v).tolist()) for v in (theirs.num, theirs.den))
    return LinearFilter(num, den, bool(theirs.analog), theirs.method)


_READERS: dict[str, Any] = {
    "Lowpass": lambda theirs: Lowpass(float(theirs.tau)),
    "Alpha": lambda theirs: Alpha(float(theirs.tau)),
    "LinearFilter": _linear,
    "Triangle": lambda theirs: Triangle(float(theirs.t)),
}
