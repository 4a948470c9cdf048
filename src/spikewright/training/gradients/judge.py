"""A network judged: the loss of a batch, and what its neurons do on samples held back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.engines.torch.device import Tensor, numpy_of
from spikewright.measure.metric import Metric
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.batches import TensorBatches
from spikewright.training.gradients.budget import TrainingBudget
from spikewright.training.gradients.losses import TrainingLoss, layers_apart
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.gradients.spiking import Sent, sent
from spikewright.training.gradients.teacher import Teacher
from spikewright.training.history import Measured, Way


@dataclass(frozen=True, eq=False)
class NetworkJudge:
    """A network with its teacher, loss and budget: it computes losses, and measures the network.

    Losses weigh the distance of `layers`, in units of the source's `spread` there, and are computed
    `quickly`, with products in bfloat16. What is measured is not.
    """

    network: RoundedNetwork
    teacher: Teacher
    batches: TensorBatches
    criterion: TrainingLoss
    budget: TrainingBudget
    metric: Metric | None
    dt: float
    layers: float = 0.0
    spread: Mapping[str, float] = field(default_factory=dict)
    quickly: bool = False

    def loss(self, batch: TrainingSamples, way: Way) -> tuple[Tensor, Tensor | float]:
        """The loss of a batch, and what layers and spikes weigh beside it, with their gradients."""
        inputs = self.batches.inputs(batch)
        counts = None
        if way == "time":
            counts = sent(self.network, inputs, net=True, quickly=self.quickly).net
        values, made = self.network(inputs, counts, self.quickly)
        beside = self.budget.penalty(self.network, made, len(batch))
        source = self.teacher.values(inputs) if self.layers else None
        if source is not None:
            beside = beside + self.layers * layers_apart(values, source, self.spread)
        return self.distance(batch, inputs, values, source), beside

    def distance(
        self,
        batch: TrainingSamples,
        inputs: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        source: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The loss of a batch's values, without what stands beside it.

        `source` are the source's values of all nodes, where they are known.
        """
        truths = self.batches.truths(batch)
        wanted: Mapping[str, Tensor] = {}
        if self.criterion.imitates(truths):
            wanted = self.teacher(batch, inputs) if source is None else self.teacher.outputs(source)
        return self.criterion(values, wanted, truths)

    @torch.no_grad()
    def timing(self, samples: TrainingSamples) -> float:
        """The spiking network's distance from the rounded one, over that from the source.

        Either may be nearer to the source: with corrected starts it is the spiking one.
        """
        imitation = TrainingLoss(self.criterion.judged, "imitation")
        apart, whole = 0.0, 0.0
        for batch in self.batches.of(samples):
            inputs = self.batches.inputs(batch)
            values, _ = self.network(inputs)
            rounded = {name: values[one.node] for name, one in self.criterion.judged.items()}
            values, _ = self.network(inputs, sent(self.network, inputs, net=True).net)
            apart += float(imitation(values, rounded, {})) * len(batch)
            whole += float(imitation(values, self.teacher(batch, inputs), {})) * len(batch)
        return apart / max(whole, 1e-30)

    @torch.no_grad()
    def measured(self, samples: TrainingSamples) -> Measured:
        """The spiking network, run through its steps; the budget takes what that spends."""
        sums = _Measurement(self)
        for batch in self.batches.of(samples):
            inputs = self.batches.inputs(batch)
            found = sent(self.network, inputs)
            values, _ = self.network(inputs, found.net)
            sums.add(batch, inputs, found, values)
        self.budget.measured(sums.spent, sums.kept, len(samples))
        return sums.means(len(samples))


@dataclass(eq=False)
class _Measurement:
    """Sums over batches of what is measured."""

    judge: NetworkJudge
    loss: float = 0.0
    hits: int = 0
    labelled: int = 0
    scores: list[NDArray] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bounds = [one.bound for one in self.judge.budget.multipliers]
        self.spent = [0.0] * len(self.bounds)
        self.kept = [0.0] * len(self.bounds)
        self.sizes: dict[str, int] = {}

    def add(
        self,
        batch: TrainingSamples,
        inputs: Mapping[str, Tensor],
        found: Sent,
        values: Mapping[str, Tensor],
    ) -> None:
        """Take a batch, and what the network did on it."""
        judge, truths = self.judge, self.judge.batches.truths(batch)
        self.loss += float(judge.distance(batch, inputs, values)) * len(batch)
        for name, counts in found.all.items():
            self.counts[name] = self.counts.get(name, 0.0) + float(counts.sum())
            self.sizes[name] = counts[0].numel()
        self._spend(batch, found)
        for name, (truth, _) in truths.items():
            one = judge.criterion.judged[name]
            if truth.kind == "labels":
                decided = one.output.decided(numpy_of(values[one.node]))
                self.hits += int((decided == truth.values).sum())
                self.labelled += len(batch)
        if judge.metric is not None:
            shown = {n: numpy_of(values[o.shown]) for n, o in judge.criterion.judged.items()}
            self.scores.append(judge.metric(shown, _given(batch)))

    def _spend(self, batch: TrainingSamples, found: Sent) -> None:
        if not self.bounds:
            return
        every = {name: numpy_of(counts).astype(np.float64) for name, counts in found.all.items()}
        roundings = self.judge.network.roundings
        kept = {name: numpy_of(roundings[name].spikes(n)) for name, n in found.net.items()}
        for i, bound in enumerate(self.bounds):
            self.spent[i] += bound.spent(every, batch.x)
            self.kept[i] += float(bound.linear(kept))

    def means(self, samples: int) -> Measured:
        """What was measured, a sample."""
        seconds = self.judge.network.steps * self.judge.dt * samples
        pairs = zip(self.spent, self.bounds, strict=True)
        joules = [(s / samples + b.fixed, b.table) for s, b in pairs if b.unit == "J"]
        scores: Any = np.concatenate(self.scores).mean() if self.scores else None
        return Measured(
            loss=self.loss / samples,
            accuracy=self.hits / self.labelled if self.labelled else None,
            spikes=sum(self.counts.values()) / samples,
            rates={n: total / (self.sizes[n] * seconds) for n, total in self.counts.items()},
            joules=joules[0][0] if joules else None,
            score=None if scores is None else float(scores),
            energy_table=joules[0][1] if joules else None,
        )


def _given(batch: TrainingSamples) -> Any:
    """Labels or targets as a metric takes them: an array, of several outputs by name, or None."""
    found = {name: truth.values for name, truth in batch.y.items()}
    return next(iter(found.values())) if len(found) == 1 else found or None
