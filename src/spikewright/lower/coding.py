"""The base of codes of values in spikes, and the registry of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from spikewright.errors import Refusal
from spikewright.lower.lowered import Lowered
from spikewright.lower.populations import PopulationChoices, Roles
from spikewright.network.attributes import ClassRegistry
from spikewright.network.neurons import NeuronType

CODINGS = ClassRegistry("coding")
"""Every coding, by name: those that files may hold (read only)."""


class Coding(ABC):
    """A code of values in spikes; `coding=` of `convert` takes one.

    `steps` are the steps in which a layer says a value, and how long runs take unless they are
    given a number; None: they are always given one.
    """

    steps: int | None

    @abstractmethod
    def filled(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments of `convert` with what the code chooses of them.

        Raises `ConversionError` for those that it has no place for.
        """

    @property
    def looks_at_data(self) -> bool:
        """Whether the code is settled by running the network on samples."""
        return False

    @property
    def sends_operands(self) -> bool:
        """Whether neurons send the operands of products too."""
        return False

    def neuron_type(self, rate: NeuronType) -> NeuronType | None:
        """The spiking type for a rate type; None for the usual one."""
        return None

    def refused(self, roles: Roles) -> list[Refusal]:
        """The layers that have no place in the code."""
        return []

    def refused_scales(self, roles: Roles, choices: PopulationChoices) -> list[Refusal]:
        """The layers whose scales have no place in the code."""
        return []

    def arranged(self, roles: Roles, lowered: Lowered) -> Lowered:
        """A network that was just made, as the code needs it."""
        return lowered

    def settled(self, conversion: Any, roles: Roles, samples: Any) -> Coding:
        """The code with numbers for what it finds by running the network on samples."""
        return self

    def run_steps(self, steps: Any) -> Any:
        """The steps of a run that was given so many, or None."""
        return self.steps if steps is None else steps
