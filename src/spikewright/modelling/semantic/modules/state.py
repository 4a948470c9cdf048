"""A pointer that is represented and remembered."""

from __future__ import annotations

import math
from typing import Any

from spikewright.errors import NetworkError
from spikewright.modelling.networks import EnsembleArray
from spikewright.modelling.networks.checks import count, number
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Connection

_LARGEST_PART = 16
# `k` of `d` values of a random direction are sqrt(k / d) long, give or take sqrt(1 / (2 d)): this
# is two deviations more.
_HEADROOM = 1.5


class State(Module):
    """Represents a pointer: an ensemble for every `subdimensions` of its values.

    `n_neurons` are for each dimension. `feedback` 1 remembers the input, with a lowpass filter of
    `feedback_synapse` seconds in the loop; below 1 the memory decays, at 0 the state follows its
    input. `subdimensions` (None: the largest divisor up to 16) divides the vocabulary's dimensions.
    `ens_kwargs` are further arguments of every `Ensemble`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_neurons: int = 50,
        subdimensions: int | None = None,
        feedback: float = 0.0,
        feedback_synapse: Any = 0.1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.vocabulary = as_vocabulary(vocabulary, f"{self!r}: vocabulary")
        d = self.vocabulary.dimensions
        part = _largest_part(d) if subdimensions is None else subdimensions
        part = count(part, f"{self!r}: subdimensions")
        if d % part:
            divisors = [k for k in range(1, d + 1) if d % k == 0]
            raise NetworkError(
                f"{self!r}: subdimensions must divide {d}, got {part}; there are {divisors}"
            )
        kept = number(feedback, f"{self!r}: feedback")
        radius = min(1.0, (math.sqrt(part) + _HEADROOM) / math.sqrt(d))
        with self:
            self.state_ensembles = EnsembleArray(
                count(n_neurons, f"{self!r}: n_neurons") * part,
                d // part,
                part,
                label=self.name,
                **{"radius": radius, **ens_kwargs},
            )
            self.input, self.output = self.state_ensembles.input, self.state_ensembles.output
            if kept != 0:
                Connection(self.output, self.input, feedback_synapse, transform=kept)
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.outputs["output"] = End(self.output, self.vocabulary)


class Memory(State):
    """A `State` that remembers: with feedback of 1."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_neurons: int = 50,
        subdimensions: int | None = None,
        feedback: float = 1.0,
        feedback_synapse: Any = 0.1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(
            vocabulary,
            n_neurons,
            subdimensions,
            feedback,
            feedback_synapse,
            label,
            seed,
            **ens_kwargs,
        )


def _largest_part(d: int) -> int:
    return max(k for k in range(1, min(d, _LARGEST_PART) + 1) if d % k == 0)
