"""Inputs and outputs of modules."""

from __future__ import annotations

from typing import NamedTuple

from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Node


class End(NamedTuple):
    """An input or output of a module, and its vocabulary (None: it carries a number)."""

    node: Node
    vocabulary: Vocabulary | None
