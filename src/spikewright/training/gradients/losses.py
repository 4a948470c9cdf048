"""Losses: the distance of the outputs from the source's, and from the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph
from spikewright.graph.layers import Activation
from spikewright.measure.truth import Output, Truth

functional = torch.nn.functional

Truths = Mapping[str, tuple[Truth, Tensor]]

_EXPONENTIAL = ("softmax", "log_softmax")
_CONSTANT = 1e-9  # of the mean square: a variance that is rounding alone


@dataclass(frozen=True, eq=False)
class JudgedOutput:
    """An output as losses see it: the node whose values they compare, and the one that is shown.

    Of an output behind softmax the first is in front of it, `logits`: divergences are computed
    from those. Values of several classes without a softmax may be logits too (`perhaps`). Squares
    are told in units of the source's `spread` (see `spread_of`).
    """

    node: str
    shown: str
    output: Output
    logits: bool
    perhaps: bool
    spread: float = 1.0

    @classmethod
    def of(cls, graph: Graph, output: Output, name: str) -> JudgedOutput:
        """The output of this name in a graph."""
        node = graph[graph.outputs[name]]
        layer = node.layer
        function = layer.function if isinstance(layer, Activation) else ""
        if isinstance(layer, Activation) and _over_classes(layer, len(graph.shapes[node.name])):
            return cls(node.inputs[0], node.name, output, True, False)
        return cls(
            node.name, node.name, output, False, output.classes > 1 and function != "sigmoid"
        )

    def activated(self, values: Tensor) -> Tensor:
        """Values of the node that is compared as those of the node that is shown."""
        if not self.logits or self.output.activation is None:
            return values
        made = values.softmax(-1)
        return made.log() if self.output.activation.function == "log_softmax" else made

    def imitation(self, made: Tensor, wanted: Tensor) -> Tensor:
        """The divergence from the source, a mean over samples, nats; and relative mean square.

        Of logits the divergence alone; of values that may be logits the sum of both.
        """
        divergence, square = made.new_zeros(()), made.new_zeros(())
        if self.logits or self.perhaps:
            log_made, log_wanted = made.log_softmax(-1), wanted.log_softmax(-1)
            divergence = functional.kl_div(
                log_made.reshape(-1, made.shape[-1]), log_wanted.reshape(-1, made.shape[-1]),
                reduction="batchmean", log_target=True,
            )  # fmt: skip
        if not self.logits:
            square = relative_square(made, wanted, self.spread)
        return divergence + square

    def truth(self, made: Tensor, truth: Truth, values: Tensor) -> Tensor:
        """The distance from labels (cross entropy, nats) or targets (relative mean square)."""
        if truth.kind == "targets":
            return relative_square(made, values, self.spread)
        if self.output.single:
            return functional.binary_cross_entropy(
                self.output.number(made).clamp(1e-6, 1.0 - 1e-6), values.to(made.dtype)
            )
        logits = made if self.logits or self.perhaps else made.clamp_min(1e-6).log()
        return functional.cross_entropy(logits, values)


def _over_classes(layer: Activation, rank: int) -> bool:
    return layer.function in _EXPONENTIAL and layer.axis(rank) == -1


def relative_square(made: Tensor, wanted: Tensor, spread: float) -> Tensor:
    """The mean of `(made - wanted)^2` over all samples and values, in units of a spread."""
    return (made - wanted).square().mean() / spread


def spread_of(parts: Sequence[Tensor]) -> float:
    """The variance of values over all samples of some batches, a mean over values.

    Of values that are the same for all samples it is their mean square, and of zeros 1.
    """
    wide = [part.detach().cpu().double() for part in parts]
    count = sum(map(len, wide))
    sums: Any = sum(values.sum(0) for values in wide)
    squares: Any = sum(values.square().sum(0) for values in wide)
    whole = float(squares.mean()) / count
    variance = whole - float((sums / count).square().mean())
    return variance if variance > _CONSTANT * whole else whole or 1.0
