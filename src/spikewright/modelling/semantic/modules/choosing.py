"""The choice of the pointer that an input is most similar to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spikewright.modelling.networks import IndependentAccumulator
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module
from spikewright.modelling.semantic.modules.cleanup import Cleanup, pairs
from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Connection, Node


class WinnerTakeAll(Cleanup):
    """A `Cleanup` whose pointers inhibit each other, so that only the most similar one remains.

    `inhibit_scale` is the strength of inhibition, `inhibit_synapse` its filter in seconds. A winner
    stays until another's similarity is larger than `inhibit_scale` times its own, and the
    threshold.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        keys: Iterable[str] | None = None,
        mapping: Mapping[str, str] | None = None,
        output_vocabulary: Vocabulary | None = None,
        n_neurons: int = 50,
        threshold: Any = 0.3,
        sharp: bool = False,
        inhibit_scale: float = 1.5,
        inhibit_synapse: Any = 0.005,
        label: str | None = None,
        seed: int | None = None,
        **memory_kwargs: Any,
    ) -> None:
        super().__init__(
            vocabulary, keys, mapping, output_vocabulary, n_neurons, threshold, sharp, label, seed,
            **memory_kwargs,
        )  # fmt: skip
        self.memory.add_wta_network(inhibit_scale, inhibit_synapse)


class Accumulators(Module):
    """Recalls at full length the pointer most similar to the input, or its mapped one.

    Similarities are integrated until the first sum exceeds a threshold
    (`sw.networks.IndependentAccumulator`, whose arguments are `accumulator_kwargs`), so that close
    ones are separated in time. The choice is held until the number `reset` is 1. `keys`, `mapping`
    and `output_vocabulary` are those of `Cleanup`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        keys: Iterable[str] | None = None,
        mapping: Mapping[str, str] | None = None,
        output_vocabulary: Vocabulary | None = None,
        n_neurons: int = 50,
        label: str | None = None,
        seed: int | None = None,
        **accumulator_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        found = pairs(self, vocabulary, keys, mapping, output_vocabulary)
        self.vocabulary, self.output_vocabulary = found.vocabulary, found.output_vocabulary
        with self:
            self.choice = IndependentAccumulator(
                len(found.inputs), n_neurons, label=self.name, **accumulator_kwargs
            )
            self.input, self.output = (
                Node(size_in=one.dimensions, label=f"{end} of {self.name}")
                for end, one in (("input", self.vocabulary), ("output", self.output_vocabulary))
            )
            Connection(self.input, self.choice.input, None, transform=found.inputs)
            Connection(self.choice.output, self.output, None, transform=found.outputs.T)
        self.reset = self.choice.reset
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.inputs["reset"] = End(self.reset, None)
        self.outputs["output"] = End(self.output, self.output_vocabulary)

    def find_input(self, name: str | None) -> End:
        """The input of a name; without one, that of pointers."""
        return super().find_input("input" if name is None else name)
