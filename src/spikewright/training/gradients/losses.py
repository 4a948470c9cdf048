"""Losses: the distance of the outputs from the source's, and from the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph
from spikewright.graph.layers import Activation
from spikewright.measure.truth import Output, Truth

functional = torch.nn.functional

_EXPONENTIAL = ("softmax", "log_softmax")


@dataclass(frozen=True, eq=False)
class Judged:
    """An output as losses see it: the node whose values they compare.

    Of an output behind softmax that is the node in front of it, `logits`: divergences are computed
    from those. Values of several classes without a softmax may be logits too (`perhaps`).
    """

    node: str
    output: Output
    logits: bool
    perhaps: bool

    @classmethod
    def of(cls, graph: Graph, output: Output, name: str) -> Judged:
        """The output of this name in a graph."""
        node = graph[graph.outputs[name]]
        layer = node.layer
        function = layer.function if isinstance(layer, Activation) else ""
        if isinstance(layer, Activation) and _over_classes(layer, len(graph.shapes[node.name])):
            return cls(node.inputs[0], output, True, False)
        return cls(node.name, output, False, output.classes > 1 and function != "sigmoid")

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
            square = relative_square(made, wanted)
        return divergence + square

    def truth(self, made: Tensor, truth: Truth, values: Tensor) -> Tensor:
        """The distance from labels (cross entropy, nats) or targets (relative mean square)."""
        if truth.kind == "targets":
            return relative_square(made, values)
        if self.output.shape == (1,):
            return functional.binary_cross_entropy(
                made[..., 0].clamp(1e-6, 1.0 - 1e-6), values.to(made.dtype)
            )
        logits = made if self.logits or self.perhaps else made.clamp_min(1e-6).log()
        return functional.cross_entropy(logits, values)


def _over_classes(layer: Activation, rank: int) -> bool:
    return layer.function in _EXPONENTIAL and layer.axis(rank) == -1


def relative_square(made: Tensor, wanted: Tensor) -> Tensor:
    """`mean (made - wanted)^2 / variance of wanted`, over all samples and values."""
    size = (wanted - wanted.mean(0, keepdim=True)).square().mean()
    return (made - wanted).square().mean() / size.clamp_min(1e-12)


def total(
    judged: Mapping[str, Judged],
    values: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    truths: Mapping[str, tuple[Truth, Tensor]],
) -> Tensor:
    """The loss of a batch: imitation of every output, and of those with a truth its distance."""
    parts = []
    for name, one in judged.items():
        made = values[one.node]
        parts.append(one.imitation(made, wanted[name]))
        if name in truths:
            parts.append(one.truth(made, *truths[name]))
    return torch.stack(parts).sum()
