"""The ports of what is written for other tools: inputs and outputs by name, for every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from spikewright.errors import NetworkError
from spikewright.graph.layers import Activation
from spikewright.lower import Lowered
from spikewright.network import Network, Node, Probe
from spikewright.running.recording import probes_of

_Item = TypeVar("_Item", Node, Probe)


@dataclass(frozen=True, eq=False)
class Ports:
    """A network, its inputs, and probes of its outputs, by name.

    `readouts` are the functions applied to the mean of an output. `lowered` is what a conversion
    made, None for a network made by hand.
    """

    network: Network
    inputs: Mapping[str, Node]
    outputs: Mapping[str, Probe]
    readouts: Mapping[str, Activation] = field(default_factory=dict)
    lowered: Lowered | None = None


def ports_of(model: Any) -> Ports:
    """The ports of a conversion, or of a network made by hand.

    In a network the outputs are its probes. The inputs are what its attribute `inputs` names, as in
    one that `sw.nir.load` read, or else its constant nodes. Raises `NetworkError` for another
    model, for a network without probes, and for two ports of one name.
    """
    lowered = getattr(model, "lowered", None)
    if isinstance(lowered, Lowered):
        probes = dict(zip(lowered.outputs, probes_of(lowered.outputs), strict=True))
        return Ports(lowered.network, lowered.inputs, probes, lowered.readouts, lowered)
    if not isinstance(model, Network):
        raise NetworkError(f"a conversion or a Network can be written, got {model!r}")
    inputs = getattr(model, "inputs", None)
    if not isinstance(inputs, Mapping):
        constant = (node for node in model.all_nodes if isinstance(node.output, np.ndarray))
        inputs = _named(model, "input", constant)
    if not model.all_probes:
        raise NetworkError(f"{model!r}: it has no probe, so that no value would come out. Add one")
    return Ports(model, inputs, _named(model, "output", model.all_probes))


def _named(network: Network, what: str, items: Iterable[_Item]) -> dict[str, _Item]:
    """Objects by their labels, or by their place among the others."""
    found: dict[str, _Item] = {}
    for i, item in enumerate(items):
        name = item.label or f"{what}_{i}"
        if name in found:
            raise NetworkError(
                f"{network!r}: {found[name]!r} and {item!r} are two {what}s named {name!r}, and a "
                "file knows them by name. Give each a label of its own"
            )
        found[name] = item
    return found
