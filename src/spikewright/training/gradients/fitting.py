"""The loop: epochs of batches, the loss on samples that are held back, and the best epoch."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.progress import progress_bar
from spikewright.engines.torch.device import Tensor
from spikewright.errors import TrainingError
from spikewright.graph import Graph
from spikewright.measure.truth import Output, Truth
from spikewright.training.data import Samples, Stream
from spikewright.training.gradients.budget import Budget
from spikewright.training.gradients.losses import Judged, total
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.gradients.spiking import sent
from spikewright.training.history import Epoch, Measured, Way
from spikewright.training.settings import Settings
from spikewright.training.sites import Site
from spikewright.training.trainable import GROUPS

_FASTER = 2.0  # times the rate of weights by which thresholds and starts are learned
_NORM = 1.0  # of all gradients together, at most
_WARM = 0.05  # of the time, in which rates rise


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network: thresholds and starts by site, and the epochs."""

    network: RoundedNetwork
    history: tuple[Epoch, ...]

    @property
    def thresholds(self) -> dict[str, NDArray]:
        """Theta of every site, float64."""
        return {n: _array(r.threshold) for n, r in self.network.roundings.items()}

    @property
    def starts(self) -> dict[str, NDArray]:
        """v0 of every site in spikes, float64."""
        return {n: _array(r.start) for n, r in self.network.roundings.items()}

    def renewed(self, graph: Graph) -> Graph:
        """A graph with layers of the same names, with the trained arrays."""
        return self.network.arrays.renewed(graph)


def fitted(
    graph: Graph,
    sites: Mapping[str, Site],
    outputs: Mapping[str, Output],
    data: Samples | Stream,
    held_back: Samples | None,
    ways: Iterator[Way],
    settings: Settings,
    fixed: Collection[tuple[str, str]],
) -> Fitted:
    """A graph trained on data; arrays in `fixed` stay as they are."""
    network = RoundedNetwork(graph, sites, settings.steps, fixed=fixed)
    judged = {name: Judged.of(graph, output, name) for name, output in outputs.items()}
    fitting = Fitting(network, judged, settings)
    fitting.run(data, held_back, ways)
    return Fitted(network, tuple(fitting.history))


def _array(values: Tensor) -> NDArray:
    array: NDArray = values.detach().cpu().numpy().astype(np.float64)
    return array


@dataclass(eq=False)
class Fitting:
    """A network, what is judged of it, and how it is trained."""

    network: RoundedNetwork
    judged: Mapping[str, Judged]
    settings: Settings
    history: list[Epoch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._teacher = RoundedNetwork(self.network.graph, {}, self.network.steps)
        self._best: tuple[tuple[float, ...], dict[str, Tensor]] | None = None
        spikes = self.settings.spikes
        self._budget = None if spikes is None else Budget(spikes)

    def parameters(self) -> list[dict[str, Any]]:
        """What is trained, with its rate; raises `TrainingError` where there is nothing."""
        arrays, roundings = self.network.arrays, self.network.roundings.values()
        named = self.settings.trainable
        groups = (name for name in GROUPS if name in named)
        slow = [parameter for name in groups for parameter in arrays.group(name)]
        fast = [
            *(r.logarithm for r in roundings if "scales" in named),
            *(r.start for r in roundings if "initial_voltage" in named),
        ]
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        for parameter in (*slow, *fast):
            parameter.requires_grad_(True)
        if not slow and not fast:
            raise TrainingError(f"nothing to train: the network has none of {named}")
        rate = self.settings.learning_rate
        rated = [{"params": slow, "lr": rate}, {"params": fast, "lr": _FASTER * rate}]
        return [part for part in rated if part["params"]]

    def run(
        self,
        data: Samples | Stream,
        held_back: Samples | None,
        ways: Iterator[Way],
    ) -> None:
        """Train for so many epochs or seconds; the network is left as the best epoch left it."""
        epochs, timeout, seed = self.settings.epochs, self.settings.timeout, self.settings.seed
        size = self.settings.batch_size
        optimiser = torch.optim.Adam(self.parameters())
        rates = [part["lr"] for part in optimiser.param_groups]
        start = time.monotonic()
        with progress_bar(epochs, self.settings.progress, "epochs") as advance, deterministic(seed):
            if held_back is not None:
                self._keep(held_back)
            for number in range(epochs):
                begun, losses = time.monotonic(), []
                way = next(ways)
                steps = _batches(data, size)
                for index, batch in enumerate(data.shuffled(size, seed, number)):
                    passed = (number + min(1.0, index / steps)) / epochs
                    if timeout is not None:
                        passed = max(passed, (time.monotonic() - start) / timeout)
                    for part, rate in zip(optimiser.param_groups, rates, strict=True):
                        part["lr"] = rate * course(min(1.0, passed))
                    losses.append(self._step(optimiser, batch, way))
                    if passed >= 1.0:
                        break
                self._note(way, losses, held_back, time.monotonic() - begun)
                advance(1)
                if timeout is not None and time.monotonic() - start >= timeout:
                    break
        if self._best is not None:
            self.network.load_state_dict(self._best[1])
        if self._budget is not None and held_back is not None:
            self._budget.meet(self.network, lambda: self.measured(held_back).spikes)

    def _step(self, optimiser: Any, batch: Samples, way: Way) -> float:
        loss = self.loss(batch, way)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"epoch {len(self.history) + 1}: the loss is {value}. The conversion is left as it "
                "was; give a smaller learning_rate"
            )
        optimiser.zero_grad()
        loss.backward()
        trained = [p for part in optimiser.param_groups for p in part["params"]]
        torch.nn.utils.clip_grad_norm_(trained, _NORM)
        optimiser.step()
        return value

    def loss(self, batch: Samples, way: Way) -> Tensor:
        """The loss of a batch, with its gradient."""
        inputs = _tensors(batch)
        counts = sent(self.network, inputs).net if way == "time" else None
        values, made = self.network(inputs, counts)
        loss = total(self.judged, values, self.wanted(inputs), _truths(batch))
        if self._budget is not None:
            loss = loss + self._budget.penalty(made, len(batch))
        return loss

    @torch.no_grad()
    def wanted(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The source's outputs."""
        values, _ = self._teacher(inputs)
        return {name: values[one.node] for name, one in self.judged.items()}

    @torch.no_grad()
    def measured(self, samples: Samples) -> Measured:
        """Loss, accuracy and spikes a sample of the spiking network, run through its steps."""
        losses, hits, labelled, spikes, kept = [], 0.0, 0, 0.0, 0.0
        for batch in samples.batches(self.settings.batch_size):
            inputs = _tensors(batch)
            found = sent(self.network, inputs)
            values, _ = self.network(inputs, found.net)
            truths = _truths(batch)
            loss = total(self.judged, values, self.wanted(inputs), truths)
            losses.append(float(loss) * len(batch))
            spikes += sum(float(counts.sum()) for counts in found.all.values())
            kept += sum(float(counts.abs().sum()) for counts in found.net.values())
            for name, (truth, _) in truths.items():
                if truth.kind == "labels":
                    decided = self.judged[name].output.decided(
                        values[self.judged[name].node].numpy()
                    )
                    hits += float((decided == truth.values).sum())
                    labelled += len(batch)
        if self._budget is not None and kept:
            self._budget.sent = spikes / kept
        accuracy = hits / labelled if labelled else None
        return Measured(sum(losses) / len(samples), accuracy, spikes / len(samples))

    def _note(
        self, way: Way, losses: list[float], held_back: Samples | None, seconds: float
    ) -> None:
        found = None if held_back is None else self._keep(held_back)
        loss = float(np.mean(losses))
        self.history.append(Epoch(len(self.history) + 1, way, loss, found, seconds))

    def _keep(self, held_back: Samples) -> Measured:
        """Measure on what is held back, and remember the network if none before was better."""
        found = self.measured(held_back)
        rank = self._ranked(found)
        if self._best is None or rank > self._best[0]:
            state = self.network.state_dict()
            self._best = rank, {name: value.clone() for name, value in state.items()}
        return found

    def _ranked(self, found: Measured) -> tuple[float, ...]:
        """The better the larger: within the budget before all, then accuracy, then the loss."""
        if self._budget is not None and not self._budget.met(found.spikes):
            return (-found.spikes,)
        accuracy = 0.0 if found.accuracy is None else found.accuracy
        return (1.0, accuracy, -found.loss)


def course(passed: float) -> float:
    """The share of a rate after a share of the time: it rises at first, then falls as a cosine."""
    if passed < _WARM:
        return passed / _WARM
    return 0.5 * (1.0 + float(np.cos(np.pi * (passed - _WARM) / (1.0 - _WARM))))


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """The same results for the same seed on one machine; torch's own random numbers untouched."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def _batches(data: Samples | Stream, size: int) -> int:
    """Batches of an epoch, at least about."""
    if isinstance(data, Samples):
        return -(-len(data) // size)
    try:
        return max(1, len(data.source))  # type: ignore[arg-type]
    except TypeError:
        return 100


def _tensors(samples: Samples) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(np.ascontiguousarray(values, np.float32))
        for name, values in samples.x.items()
    }


def _truths(samples: Samples) -> dict[str, tuple[Truth, Tensor]]:
    found = {}
    for name, truth in samples.y.items():
        kind = np.int64 if truth.kind == "labels" else np.float32
        found[name] = (truth, torch.from_numpy(np.ascontiguousarray(truth.values, kind)))
    return found
