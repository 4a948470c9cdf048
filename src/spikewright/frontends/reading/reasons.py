"""Reasons why operations have no form in a graph, each said once for all readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Reason(NamedTuple):
    """The reason against an operation, and the user's options."""

    reason: str
    options: str


NO_READER = "no reading of this operator is registered"

JUMPS = Reason(
    "it jumps, so that small differences of its input make large ones",
    "Move it out of the model, or train with a continuous function such as clip or sigmoid",
)
ROUNDS = Reason(
    JUMPS.reason,
    "Round to `step * clip(floor(x / step + start), 0, levels)`, of numbers, as "
    "sw.torch.RoundedReLU and sw.keras.RoundedReLU do; or train with a continuous function",
)
COMPARES = Reason(
    "it computes truth values from the data; values here are real numbers",
    "Write the choice with functions such as relu, clip, maximum or minimum",
)
ORDERS = Reason(
    "it sorts values, or makes positions out of them, which no layer of a network does",
    "Choose from the outputs",
)
LOOKS_UP = Reason(
    "it looks up texts or whole numbers, or counts matches, and a network takes real numbers",
    "Apply it to the data, before the network",
)
PLACES = Reason(
    "the places where it reads or writes are computed from the data",
    "Use constant places, or give the model the chosen values as its input",
)


def by_kind(*families: tuple[Reason, str]) -> Mapping[str, Reason]:
    """The reason against each kind of operation, from families of kinds apart by spaces."""
    return {kind: reason for reason, kinds in families for kind in kinds.split()}
