"""The arguments of `convert`: checked once, with what follows from them before a model is read.

Those that are given by layer take the same keys: names of layers, and of models and modules around
them, activations, neuron types, and the layers of the source themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spikewright._base.arguments import is_whole, refuse
from spikewright.choosing.coding import Coding, RateCode
from spikewright.choosing.correction import CORRECTIONS, PLACES, VoltageCorrection, corrects
from spikewright.errors import SimulationError
from spikewright.frontends.outputs import wanted_outputs
from spikewright.graph import Graph
from spikewright.lower import (
    Lowered,
    NeuronChoice,
    Options,
    RowStepping,
    keys_of_nodes,
)
from spikewright.network import Ensemble, Node
from spikewright.network.neurons.base import MOST_SPIKES, may_cap
from spikewright.quantising import Quantised

FROM_ELSEWHERE = {
    "swap_activations": "spiking={'relu': sw.SpikingRectifiedLinear()} chooses neurons by "
    "activation, or by layer.",
    "inference_only": "Every conversion is for inference alone: leave it out.",
    "max_to_avg_pool": "max_pool='average' averages in place of max pooling.",
    "split_shared_weights": "A layer that is called twice becomes two: leave it out.",
    "allow_fallback": "fallback='python' calls what cannot be read as it is.",
    "temporal_model": "sequence_step= makes time that of the sequence.",
}
"""Keywords of NengoDL's `Converter`, and what means them here."""


def check_cap(cap: Any) -> None:
    """Raise `ConversionError` unless `max_spikes_per_step` is what neuron types take."""
    if not may_cap(cap):
        known = f"it is None or a whole number from 1 to {MOST_SPIKES}"
        raise refuse("max_spikes_per_step", f"{known}, got {cap!r}")


@dataclass(frozen=True, eq=False)
class Wanted:
    """All arguments of `convert` but the model, by name in `given`.

    Raises `ConversionError` for those that no model could be converted with.
    """

    given: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.given.get("fallback") not in (None, "python"):
            raise refuse("fallback", f'it is None or "python", got {self.given["fallback"]!r}')
        coding = self.given.get("coding")
        if not (coding is None or isinstance(coding, Coding)):
            options = "Give coding=sw.SignedDigits(steps=4), or leave it out"
            raise refuse(
                "coding", f"it is None, sw.RateCode or sw.SignedDigits, got {coding!r}", options
            )
        self._check_sequence()
        self._check_weights()
        self._check_cap()
        _ = self.neurons  # raises for neurons that cannot be
        self._check_corrections()

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    @cached_property
    def neurons(self) -> NeuronChoice:
        """The choice of neuron types."""
        own = self["max_spikes_per_step"]
        chips = None if self.quantised is None else self.quantised.spikes
        caps = [cap for cap in (own, chips) if cap is not None]
        return NeuronChoice(self["spiking"], min(caps, default=None), self.coding.neuron_type)

    @property
    def coding(self) -> Coding:
        """The code of values in spikes."""
        return self.given.get("coding") or RateCode()

    def filled(self) -> Wanted:
        """The arguments with what the code chooses of them; raises as `Coding.filled` does."""
        return Wanted(self.coding.filled(self.given))

    @property
    def quantised(self) -> Quantised | None:
        """The bits of a chip, or None."""
        found: Quantised | None = self.given.get("weights")
        return found

    @property
    def step(self) -> int | None:
        """Steps of simulation in a step of a sequence, where time is the sequence's."""
        step = self.given.get("sequence_step")
        return None if step is None else int(step)

    @property
    def form(self) -> dict[str, Any]:
        """The arguments of `read` that they imply."""
        return {
            "keep_recurrence": self.step is not None,
            "outputs": wanted_outputs(self.given.get("outputs")),
            "fallback": self.given.get("fallback"),
        }

    @property
    def corrects(self) -> bool:
        """True where a correction is to be measured by running the network."""
        return corrects(self.given)

    def options(self, stepping: RowStepping | None) -> Options:
        """The choices for lowering."""
        start = self["initial_voltage"]
        if isinstance(start, VoltageCorrection):
            start = start.start
        return Options(self.neurons, self["scale_firing_rates"], self["synapse"], start, stepping)

    def _check_sequence(self) -> None:
        """Raise unless a step of a sequence lasts some steps, in which values sent arrive."""
        step = self.given.get("sequence_step")
        if step is None:
            return
        if not (is_whole(step) and step >= 1):
            raise refuse("sequence_step", f"it is None or a whole number from 1, got {step!r}")
        if self["synapse"] is not None:
            raise refuse(
                "synapse",
                "with sequence_step nothing may arrive late: a synapse would carry what belongs to "
                "one step of the sequence into the next",
                "Leave it out",
            )

    def _check_cap(self) -> None:
        cap = self["max_spikes_per_step"]
        if cap is not None and not self["spiking"]:
            raise refuse("max_spikes_per_step", "rate neurons send no spikes", "Use spiking=True")
        check_cap(cap)

    def _check_weights(self) -> None:
        chip = self.given.get("weights")
        if not (chip is None or isinstance(chip, Quantised)):
            options = "Give weights=sw.Quantised(bits=8), or leave it out"
            raise refuse("weights", f"it is None or sw.Quantised, got {chip!r}", options)

    def _check_corrections(self) -> None:
        """Raise for one in a dict or in the place of the other, and for one of sequences.

        What is to be corrected differs there from step to step of a sequence.
        """
        for name, kinds in PLACES.items():
            value = self[name]
            items = value.values() if isinstance(value, Mapping) else [value]
            for item in items:
                misplaced = item is not value or not isinstance(item, kinds)
                if isinstance(item, CORRECTIONS) and misplaced:
                    own = " or ".join(f"{name}=sw.{kind.__name__}(steps)" for kind in kinds)
                    raise refuse(name, f"its correction is one for all layers: {own}")
        if self.step is not None and self.corrects:
            raise refuse(
                "sequence_step",
                "corrections make up for what is wrong with values held for a run, and those of a "
                "sequence are not",
                "Give numbers, or convert without sequence_step",
            )


BY_LAYER: Mapping[str, tuple[str, ...]] = {
    "spiking": ("convert",),
    "scale_firing_rates": ("convert",),
    "synapse": ("convert",),
    "initial_voltage": ("convert",),
    "bias_correction": ("convert",),
    "outputs": ("convert",),
    "record": ("run", "stream", "memory"),
    "frozen": ("train", "reconstruct"),
}
"""Every setting that is given by layer, and the calls that take it."""


def in_names(arguments: Mapping[str, Any], named: Callable[[Any], Any]) -> dict[str, Any]:
    """Arguments with names in the place of layers of the model; `named` knows these."""
    return {name: named(value) if name in BY_LAYER else value for name, value in arguments.items()}


class Layers(Mapping[str, Ensemble | Node]):
    """The objects made of layers of the source: iterates over names, takes any key of one."""

    def __init__(self, lowered: Lowered, graph: Graph, named: Callable[[Any], Any]) -> None:
        self._items, self._graph, self._named = lowered.layers, graph, named

    def __repr__(self) -> str:
        return repr(dict(self._items))

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: Any) -> Ensemble | Node:
        if isinstance(key, str) and key in self._items:
            return self._items[key]
        named = self._named(key)
        names = list(keys_of_nodes(self._graph, self._items, "layer").selected([named]))
        found = {id(self._items[name]): self._items[name] for name in names}
        if len(found) > 1:
            raise KeyError(f"{named!r} means several layers: {', '.join(names)}. Name one of them")
        return next(iter(found.values()))


def recorded(record: Any, lowered: Lowered, graph: Graph) -> Any:
    """The names of the layers to record; raises `SimulationError` for keys of none."""
    given = [record] if isinstance(record, str) or not _is_several(record) else list(record)
    if not given:
        return []
    keys = keys_of_nodes(graph, _with_values(lowered), "layer")
    names: dict[Any, None] = {}
    if not all(isinstance(key, Hashable) for key in given):
        return record  # it is refused with what names are
    for key in given:
        around = key not in lowered.exact_values and keys.inside(key)
        if isinstance(key, str) and key in lowered.layers and not around:
            names[key] = None  # what has no values of its own is refused with the reason
            continue
        try:
            names |= keys.selected([key])
        except KeyError as error:
            if not isinstance(key, str):
                return record  # it is refused with what names are
            reason = f"record: {key!r} is no layer of the network. {error.args[0]}"
            raise SimulationError(reason) from None
    return list(names)


def _with_values(lowered: Lowered) -> list[str]:
    return [name for name in lowered.layers if name in lowered.exact_values]


def _is_several(record: Any) -> bool:
    return isinstance(record, Iterable) and not isinstance(record, Mapping)
