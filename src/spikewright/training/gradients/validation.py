"""Validation of a network in training: its loss against the source (the teacher) and the truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.engines.torch.device import Device, Tensor, numpy_of
from spikewright.graph import Graph
from spikewright.graph.layers import Activation
from spikewright.measure.targets import Metric, Output, Targets
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.budget import SpikeBudget
from spikewright.training.gradients.spiking import spike_counts
from spikewright.training.gradients.straight_through import StraightThroughNetwork
from spikewright.training.history import Measured, Way
from spikewright.training.job import TrainingJob

functional = torch.nn.functional

Truths = Mapping[str, tuple[Targets, Tensor]]

_EXPONENTIAL = ("softmax", "log_softmax")
_CONSTANT = 1e-9  # of the mean square: a variance that is rounding alone


@dataclass(frozen=True, eq=False)
class OutputLoss:
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
    def of(cls, graph: Graph, output: Output, name: str) -> OutputLoss:
        """The output of this name in a graph."""
        node = graph[graph.outputs[name]]
        layer, function = node.layer, ""
        if isinstance(layer, Activation):
            function = layer.function
            if function in _EXPONENTIAL and layer.axis(len(graph.shapes[node.name])) == -1:
                return cls(node.inputs[0], node.name, output, True, False)
        return cls(
            node.name, node.name, output, False, output.classes > 1 and function != "sigmoid"
        )

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

    def truth(self, made: Tensor, truth: Targets, values: Tensor) -> Tensor:
        """The distance from labels (cross entropy, nats) or targets (relative mean square)."""
        if truth.kind == "targets":
            return relative_square(made, values, self.spread)
        if self.output.single:
            return functional.binary_cross_entropy(
                self.output.number(made).clamp(1e-6, 1.0 - 1e-6), values.to(made.dtype)
            )
        logits = made if self.logits or self.perhaps else made.clamp_min(1e-6).log()
        return functional.cross_entropy(logits, values)


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


TARGET_MEMORY = 2**30
"""Bytes that the outputs of all samples may take; fixed, so that results depend on nothing else."""


class TrainingBatch:
    """Some samples, whose tensors are made as they are asked for."""

    def __init__(self, samples: TrainingSamples, teacher: Teacher) -> None:
        self.samples, self._teacher = samples, teacher

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Inputs by name."""
        return {name: self._teacher.tensor(x) for name, x in self.samples.x.items()}

    @cached_property
    def truths(self) -> Truths:
        """Labels and targets by output, as they were given and as tensors."""
        types = {"labels": np.int64}
        return {
            name: (truth, self._teacher.tensor(truth.values, types.get(truth.kind, np.float32)))
            for name, truth in self.samples.y.items()
        }

    @cached_property
    def wanted(self) -> dict[str, Tensor]:
        """The source's outputs by name, as losses compare them."""
        return self._teacher.outputs(self)


@dataclass(frozen=True, eq=False)
class Teacher:
    """The network that is imitated, and how many samples stand side by side, on which device.

    Its outputs are computed once for all epochs where they fit into memory.
    """

    network: StraightThroughNetwork
    losses: Mapping[str, OutputLoss]
    size: int
    device: Device

    def batches(self, samples: TrainingSamples) -> Iterator[TrainingBatch]:
        """All samples in their order."""
        return (TrainingBatch(part, self) for part in samples.batches(self.size))

    def tensor(self, values: NDArray, kind: type = np.float32) -> Tensor:
        """An array as a tensor of a type."""
        return torch.from_numpy(np.ascontiguousarray(values, kind)).to(self.device)

    @torch.no_grad()
    def outputs(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The outputs for a batch: those that are known, or computed now."""
        if aside := batch.samples.aside:
            return {name: self.tensor(aside[name]) for name in self.losses}
        values, _ = self.network(batch.inputs)
        return {name: values[one.node] for name, one in self.losses.items()}

    def with_cached_targets(self, samples: TrainingSamples) -> TrainingSamples:
        """The same samples with these outputs kept; unchanged where they would take more memory."""
        shapes = (self.network.graph.shapes[one.node] for one in self.losses.values())
        if 4 * len(samples) * sum(map(math.prod, shapes)) > TARGET_MEMORY:
            return samples
        parts = [batch.wanted for batch in self.batches(samples)]
        outputs = {n: numpy_of(torch.cat([part[n] for part in parts])) for n in self.losses}
        return replace(samples, aside=outputs)


class Validator:
    """A job's network with its teacher and budget: it computes losses, and measures the network."""

    def __init__(self, job: TrainingJob, network: StraightThroughNetwork, device: Device) -> None:
        settings = job.settings
        self.network, self._settings = network, settings
        losses = {
            name: OutputLoss.of(job.graph, output, name) for name, output in job.outputs.items()
        }
        source = StraightThroughNetwork(job.graph, {}, settings["steps"]).to(device)
        self.teacher = Teacher(source, losses, settings["batch_size"], device)
        parts = [batch.wanted for batch in self.teacher.batches(job.first)]
        self.losses = {
            name: replace(one, spread=spread_of([part[name] for part in parts]))
            for name, one in losses.items()
        }
        limit = settings["spikes"]
        self.budget = None if limit is None else SpikeBudget(network, limit)
        self._metric = Metric.of(settings["metric"])

    def loss(self, samples: TrainingSamples, way: Way) -> tuple[Tensor, Tensor | float]:
        """The loss of a batch, and what spikes weigh beside it, with their gradients."""
        batch, counts = TrainingBatch(samples, self.teacher), None
        if way == "time":
            counts = spike_counts(self.network, batch.inputs, net=True).net
        values, made = self.network(batch.inputs, counts)
        penalty = 0.0 if self.budget is None else self.budget.penalty(made, len(batch))
        return self.distance(batch, values), penalty

    def distance(self, batch: TrainingBatch, values: Mapping[str, Tensor]) -> Tensor:
        """The distance of a batch's values from the source's, and from the truth that it has."""
        parts = []
        for name, one in self.losses.items():
            parts.append(one.imitation(values[one.node], batch.wanted[name]))
            if self._settings["loss"] == "both" and name in batch.truths:
                parts.append(one.truth(values[one.node], *batch.truths[name]))
        return torch.stack(parts).sum()

    @torch.no_grad()
    def timing(self, samples: TrainingSamples) -> float:
        """The spiking network's distance from the rounded one, over that from the source.

        Either may be nearer to the source: with corrected starts it is the spiking one.
        """
        apart, whole = 0.0, 0.0
        for batch in self.teacher.batches(samples):
            rounded, _ = self.network(batch.inputs)
            values, _ = self.network(
                batch.inputs, spike_counts(self.network, batch.inputs, net=True).net
            )
            for name, one in self.losses.items():
                made = values[one.node]
                apart += float(one.imitation(made, rounded[one.node])) * len(batch)
                whole += float(one.imitation(made, batch.wanted[name])) * len(batch)
        return apart / max(whole, 1e-30)

    @torch.no_grad()
    def measured(self, samples: TrainingSamples) -> Measured:
        """The spiking network, run through its steps; the budget takes what that spends."""
        loss, hits, labelled = 0.0, 0, 0
        counts, neurons, scores = Counter[str](), dict[str, int](), []
        if self.budget is not None:
            self.budget.measure_anew()
        for batch in self.teacher.batches(samples):
            found = spike_counts(self.network, batch.inputs)
            values, _ = self.network(batch.inputs, found.net)
            loss += float(self.distance(batch, values)) * len(batch)
            if self.budget is not None:
                self.budget.add(len(batch), found)
            for name, every in found.all.items():
                counts[name] += float(every.sum())  # type: ignore[assignment]
                neurons[name] = every[0].numel()
            for name, (truth, _) in batch.truths.items():
                one = self.losses[name]
                if truth.kind == "labels":
                    decided = one.output.decided(numpy_of(values[one.node]))
                    hits += int((decided == truth.values).sum())
                    labelled += len(batch)
            if self._metric is not None:
                shown = {n: numpy_of(values[one.shown]) for n, one in self.losses.items()}
                scores.append(self._metric(shown, _given(batch.samples)))
        seconds = self._settings["steps"] * self._settings["dt"] * len(samples)
        return Measured(
            loss=loss / len(samples),
            accuracy=hits / labelled if labelled else None,
            spikes=sum(counts.values()) / len(samples),
            rates={name: total / (neurons[name] * seconds) for name, total in counts.items()},
            score=float(np.concatenate(scores).mean()) if scores else None,
        )


def _given(samples: TrainingSamples) -> Any:
    """Labels or targets as a metric takes them: an array, of several outputs by name, or None."""
    found = {name: truth.values for name, truth in samples.y.items()}
    return next(iter(found.values())) if len(found) == 1 else found or None
