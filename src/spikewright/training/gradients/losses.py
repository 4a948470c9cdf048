"""Losses: the distance of the outputs from the source's, and from the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.errors import TrainingError
from spikewright.graph import Graph
from spikewright.graph.layers import Activation
from spikewright.measure.truth import Output, Truth
from spikewright.training.settings import LossName

functional = torch.nn.functional

Truths = Mapping[str, tuple[Truth, Tensor]]

_EXPONENTIAL = ("softmax", "log_softmax")
_CONSTANT = 1e-9  # of the mean square: a variance that is rounding alone


@dataclass(frozen=True, eq=False)
class JudgedOutput:
    """An output as losses see it: the node whose values they compare, and the one that is shown.

    Of an output behind softmax the first is in front of it, `logits`: divergences are computed
    from those. Values of several classes without a softmax may be logits too (`perhaps`). Squares
    are told in units of the source's `spread` (see `spreads`).
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


def spreads(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """The variance of values over all samples of some batches, a mean over values, by name.

    Of values that are the same for all samples it is their mean square, and of zeros 1.
    """
    count, sums, squares = 0, dict[str, Any](), dict[str, Any]()
    for part in parts:
        for name, values in part.items():
            wide = values.detach().cpu().double()
            sums[name] = sums.get(name, 0.0) + wide.sum(0)
            squares[name] = squares.get(name, 0.0) + wide.square().sum(0)
        count += len(next(iter(part.values())))
    found = {}
    for name, square in squares.items():
        whole = float(square.mean()) / count
        variance = whole - float((sums[name] / count).square().mean())
        found[name] = variance if variance > _CONSTANT * whole else whole or 1.0
    return found


def layers_apart(
    made: Mapping[str, Tensor], wanted: Mapping[str, Tensor], spread: Mapping[str, float]
) -> Tensor:
    """The mean square error of values of nodes in units of their spreads, a mean over nodes."""
    return torch.stack([relative_square(made[n], wanted[n], s) for n, s in spread.items()]).mean()


@dataclass(frozen=True, eq=False)
class TrainingLoss:
    """The loss of a batch: imitation of every output, the distance from its truth, or both.

    Or a user's function `f(outputs, y)`: outputs as the model gives them, and labels or targets,
    without any the source's outputs; of several outputs `{name: tensor}`.
    """

    judged: Mapping[str, JudgedOutput]
    kind: LossName | Callable[..., Any] = "both"

    def imitates(self, truths: Truths) -> bool:
        """True where the source's outputs are compared with, beside the truth that is known."""
        if isinstance(self.kind, str):
            return self.kind != "truth"
        return not truths.keys() >= self.judged.keys()

    def __call__(
        self, values: Mapping[str, Tensor], wanted: Mapping[str, Tensor], truths: Truths
    ) -> Tensor:
        """The loss of values of nodes; `wanted` are the source's, by output, if it `imitates`."""
        if not isinstance(self.kind, str):
            return self._of_function(self.kind, values, wanted, truths)
        parts = []
        for name, one in self.judged.items():
            made = values[one.node]
            if self.kind != "truth":
                parts.append(one.imitation(made, wanted[name]))
            if self.kind != "imitation" and name in truths:
                parts.append(one.truth(made, *truths[name]))
        if not parts:
            raise TrainingError(
                'loss="truth" needs labels or targets, and samples have none: give y, and '
                "validation=(x, y)"
            )
        return torch.stack(parts).sum()

    def _of_function(
        self,
        function: Callable[..., Any],
        values: Mapping[str, Tensor],
        wanted: Mapping[str, Tensor],
        truths: Truths,
    ) -> Tensor:
        made = {name: values[one.shown] for name, one in self.judged.items()}
        y = {
            name: truths[name][1] if name in truths else one.activated(wanted[name])
            for name, one in self.judged.items()
        }
        (first, *others) = made
        found = function(made, y) if others else function(made[first], y[first])
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            what = getattr(found, "shape", type(found).__name__)
            raise TrainingError(f"loss: the function must give one number as a tensor, got {what}")
        return found.reshape(())
