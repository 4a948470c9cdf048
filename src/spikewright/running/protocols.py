"""The protocol of a conversion for code that stores, measures and corrects it without making it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, TypeVar

from numpy.typing import NDArray

from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.lower.coding import Coding
from spikewright.lower.trace import Trace
from spikewright.measure import Run
from spikewright.network import Ensemble, Network, Node


class ConversionLike(Protocol):
    """A network that was made from a graph, as `Conversion` is one."""

    lowered: Lowered
    graph: Graph
    canonical: Graph
    trace: Trace
    arguments: Mapping[str, Any]
    resolved: Mapping[str, Any]

    @property
    def network(self) -> Network:
        """The network."""

    @property
    def coding(self) -> Coding:
        """The code of values in spikes."""

    @property
    def inputs(self) -> Mapping[str, Node]:
        """The nodes that take the inputs, by name."""

    def populations(self) -> dict[str, Ensemble]:
        """The ensemble of every layer that sends spikes, in order."""

    def as_inputs(self, x: Any) -> dict[str, NDArray]:
        """A user's input by name."""

    @property
    def run(self) -> Callable[..., Run]:
        """Runs it on inputs, for a number of steps."""

    @property
    def replace(self) -> Callable[..., Self]:
        """Converts the same model once more, with some arguments changed."""


Made = TypeVar("Made", bound=ConversionLike)


def all_capped(conversion: ConversionLike) -> bool:
    """True where every population has a cap on its spikes a step."""
    populations = conversion.populations().values()
    return all(ensemble.neuron_type.most_spikes is not None for ensemble in populations)


_OF_SPIKES = (
    "synapse", "initial_voltage", "calibration", "max_spikes_per_step", "bias_correction",
    "weights", "coding",
)  # fmt: skip
"""Arguments of `convert` that say what spikes, or bits of weights, change."""


def as_source(conversion: Made) -> Made:
    """The source's values as a conversion: its network of rates, with the weights of the model."""
    plain = dict.fromkeys(_OF_SPIKES)
    return conversion.replace(**plain, spiking=False, scale_firing_rates=1.0)
