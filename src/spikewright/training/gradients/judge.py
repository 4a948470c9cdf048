"""A network judged: the loss of a batch, and what its neurons do on samples held back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright.engines.torch.device import Device, Tensor, numpy_of
from spikewright.errors import TrainingError
from spikewright.measure.truth import Metric
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.budget import TrainingBudget
from spikewright.training.gradients.losses import JudgedOutput, spread_of
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.gradients.spiking import sent
from spikewright.training.gradients.teacher import Teacher, TrainingBatch
from spikewright.training.history import Measured, Way
from spikewright.training.job import TrainingJob


class NetworkJudge:
    """A job's network with its teacher and budget: it computes losses, and measures the network.

    Losses are computed with products in the job's precision; what is measured is in float32.
    """

    def __init__(self, job: TrainingJob, network: RoundedNetwork, device: Device) -> None:
        settings = job.settings
        self.network, self._settings = network, settings
        judged = {
            name: JudgedOutput.of(job.graph, output, name) for name, output in job.outputs.items()
        }
        source = RoundedNetwork(job.graph, {}, settings["steps"]).to(device)
        self.teacher = Teacher(source, judged, settings["batch_size"], device)
        parts = [batch.wanted for batch in self.teacher.batches(job.first)]
        self.judged = {
            name: replace(one, spread=spread_of([part[name] for part in parts]))
            for name, one in judged.items()
        }
        self.budget = TrainingBudget(job.bounds, network, device)
        self._metric = Metric.of(settings["metric"])

    def loss(self, samples: TrainingSamples, way: Way) -> tuple[Tensor, Tensor | float]:
        """The loss of a batch, and what spikes weigh beside it, with their gradients."""
        batch, quickly = (
            TrainingBatch(samples, self.teacher),
            self._settings["precision"] == "bfloat16",
        )
        counts = None
        if way == "time":
            counts = sent(self.network, batch.inputs, net=True, quickly=quickly).net
        values, made = self.network(batch.inputs, counts, quickly)
        return self.distance(batch, values), self.budget.penalty(made, len(batch))

    def distance(self, batch: TrainingBatch, values: Mapping[str, Tensor]) -> Tensor:
        """The distance of a batch's values from the source's, from the truth, or both.

        Or a user's function `f(outputs, y)`: of outputs as the model gives them, and of labels or
        targets, without any the source's outputs; of several outputs `{name: tensor}`.
        """
        kind = self._settings["loss"]
        if not isinstance(kind, str):
            return self._of_function(kind, batch, values)
        parts = []
        for name, one in self.judged.items():
            if kind != "truth":
                parts.append(one.imitation(values[one.node], batch.wanted[name]))
            if kind != "imitation" and name in batch.truths:
                parts.append(one.truth(values[one.node], *batch.truths[name]))
        if not parts:
            raise TrainingError(
                'loss="truth" needs labels or targets, and samples have none: give y, and '
                "validation=(x, y)"
            )
        return torch.stack(parts).sum()

    def _of_function(
        self, function: Callable[..., Any], batch: TrainingBatch, values: Mapping[str, Tensor]
    ) -> Tensor:
        made = {name: values[one.shown] for name, one in self.judged.items()}
        y = {
            name: batch.truths[name][1]
            if name in batch.truths
            else one.activated(batch.wanted[name])
            for name, one in self.judged.items()
        }
        (first, *others) = made
        found = function(made, y) if others else function(made[first], y[first])
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            what = getattr(found, "shape", type(found).__name__)
            raise TrainingError(f"loss: the function must give one number as a tensor, got {what}")
        return found.reshape(())

    @torch.no_grad()
    def timing(self, samples: TrainingSamples) -> float:
        """The spiking network's distance from the rounded one, over that from the source.

        Either may be nearer to the source: with corrected starts it is the spiking one.
        """
        apart, whole = 0.0, 0.0
        for batch in self.teacher.batches(samples):
            rounded, _ = self.network(batch.inputs)
            values, _ = self.network(batch.inputs, sent(self.network, batch.inputs, net=True).net)
            for name, one in self.judged.items():
                made = values[one.node]
                apart += float(one.imitation(made, rounded[one.node])) * len(batch)
                whole += float(one.imitation(made, batch.wanted[name])) * len(batch)
        return apart / max(whole, 1e-30)

    @torch.no_grad()
    def measured(self, samples: TrainingSamples) -> Measured:
        """The spiking network, run through its steps; the budget takes what that spends."""
        loss, hits, labelled = 0.0, 0, 0
        counts, neurons, scores = Counter[str](), dict[str, int](), []
        self.budget.measure_anew()
        for batch in self.teacher.batches(samples):
            found = sent(self.network, batch.inputs)
            values, _ = self.network(batch.inputs, found.net)
            loss += float(self.distance(batch, values)) * len(batch)
            self.budget.add(batch.samples, found)
            for name, every in found.all.items():
                counts[name] += float(every.sum())  # type: ignore[assignment]
                neurons[name] = every[0].numel()
            for name, (truth, _) in batch.truths.items():
                one = self.judged[name]
                if truth.kind == "labels":
                    decided = one.output.decided(numpy_of(values[one.node]))
                    hits += int((decided == truth.values).sum())
                    labelled += len(batch)
            if self._metric is not None:
                shown = {n: numpy_of(values[one.shown]) for n, one in self.judged.items()}
                scores.append(self._metric(shown, _given(batch.samples)))
        seconds = self._settings["steps"] * self._settings["dt"] * len(samples)
        return Measured(
            loss=loss / len(samples),
            accuracy=hits / labelled if labelled else None,
            spikes=sum(counts.values()) / len(samples),
            rates={name: total / (neurons[name] * seconds) for name, total in counts.items()},
            score=float(np.concatenate(scores).mean()) if scores else None,
            **self.budget.energy,
        )


def _given(samples: TrainingSamples) -> Any:
    """Labels or targets as a metric takes them: an array, of several outputs by name, or None."""
    found = {name: truth.values for name, truth in samples.y.items()}
    return next(iter(found.values())) if len(found) == 1 else found or None
