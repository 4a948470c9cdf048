"""Where pointers and numbers go in and come out."""

from __future__ import annotations

from typing import NamedTuple

from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Node


class End(NamedTuple):
    """Where something goes in or comes out, and its vocabulary; None: it is a number."""

    node: Node
    vocabulary: Vocabulary | None
