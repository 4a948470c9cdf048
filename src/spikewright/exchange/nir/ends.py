"""The ends of a network that is to be written: its inputs and outputs by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikewright.errors import NetworkError
from spikewright.lower import Lowered
from spikewright.network import Ensemble, Network, Neurons, Node

Object = Ensemble | Node


@dataclass(frozen=True, eq=False)
class Ends:
    """A network, its inputs and outputs, and the function applied to each output's readout."""

    network: Network
    inputs: Mapping[str, Node]
    outputs: Mapping[str, Object]
    readouts: Mapping[str, str] = field(default_factory=dict)


def ends_of(model: Any) -> Ends:
    """The ends of a conversion, or of a network made by hand; raises `NetworkError`.

    In a network the inputs are its constant nodes, and the outputs are what its probes record.
    """
    lowered = getattr(model, "lowered", None)
    if isinstance(lowered, Lowered):
        names = {output: layer.function for output, layer in lowered.readouts.items()}
        return Ends(lowered.network, lowered.inputs, lowered.outputs, names)
    if not isinstance(model, Network):
        raise NetworkError(f"a conversion or a Network can be written as NIR, got {model!r}")
    inputs = {
        node.label or f"input_{i}": node
        for i, node in enumerate(model.all_nodes)
        if isinstance(node.output, np.ndarray)
    }
    outputs = {
        probe.label or f"output_{i}": _whole(probe.obj) for i, probe in enumerate(model.all_probes)
    }
    missing = [what for what, found in (("input", inputs), ("probe", outputs)) if not found]
    if missing:
        raise NetworkError(
            f"{model!r}: it has no {' and no '.join(missing)}, so NIR would have no ends. Give it "
            "a constant node, whose values a run may replace, and a probe"
        )
    return Ends(model, inputs, outputs)


def _whole(target: Any) -> Object:
    """The object that a probe's target is (a part of)."""
    if isinstance(target, Neurons):
        return target.ensemble
    if isinstance(target, Ensemble | Node):
        return target
    raise NetworkError(
        f"{target!r}: its probe records no node and no neurons; NIR has no such output"
    )
