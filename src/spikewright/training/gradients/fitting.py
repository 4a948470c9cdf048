"""The loop: epochs of batches, the network on samples that are held back, and the best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.progress import progress_bar
from spikewright.engines.torch.device import Tensor, chosen_device
from spikewright.errors import TrainingError
from spikewright.graph import Graph
from spikewright.measure.metric import Metric
from spikewright.training.checkpoint import TrainingCheckpoint
from spikewright.training.data import SampleStream, TrainingSamples
from spikewright.training.gradients import state as _state
from spikewright.training.gradients import trials as _trials
from spikewright.training.gradients.batches import TensorBatches
from spikewright.training.gradients.budget import TrainingBudget, scale
from spikewright.training.gradients.judge import NetworkJudge
from spikewright.training.gradients.losses import JudgedOutput, TrainingLoss, spreads
from spikewright.training.gradients.optimisers import course, groups_of, optimiser_of, rate_of
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.gradients.teacher import Teacher
from spikewright.training.history import Epoch, Measured, Way
from spikewright.training.job import TrainingJob

_NORM = 1.0  # of all gradients together, at most
_TIMING = 0.25  # of the distance from the source, from which time is needed
_SILENCE = 1e9  # times its threshold: a neuron sends nothing


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network: thresholds and starts by site, the epochs, and the one that was kept.

    `learning_rate` is that of weights.
    """

    network: RoundedNetwork
    history: tuple[Epoch, ...]
    kept: int
    learning_rate: float

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


def fitted(job: TrainingJob) -> Fitted:
    """A graph trained on data."""
    with deterministic(job.settings.seed):
        fitting = Fitting(job)
        fitting.run()
    return Fitted(
        fitting.network,
        tuple(fitting.history),
        fitting.kept,
        fitting.learning_rate,
    )


def _array(values: Tensor) -> NDArray:
    array: NDArray = values.detach().cpu().numpy().astype(np.float64)
    return array


def judge_of(job: TrainingJob, network: RoundedNetwork, device: Any) -> NetworkJudge:
    """What a job's network is judged by."""
    settings = job.settings
    judged = {
        name: JudgedOutput.of(job.graph, output, name) for name, output in job.outputs.items()
    }
    batches = TensorBatches(settings.batch_size, device)
    source = RoundedNetwork(job.graph, {}, settings.steps).to(device)
    teacher = Teacher(source, judged, batches)
    nodes = [one.node for one in judged.values()] + list(job.sites) * (settings.layers > 0)
    spread = spreads(teacher.of(job.first, nodes))
    judged = {n: replace(one, spread=spread[one.node]) for n, one in judged.items()}
    return NetworkJudge(
        network=network,
        teacher=teacher,
        batches=batches,
        criterion=TrainingLoss(judged, settings.loss),
        budget=TrainingBudget(job.bounds, torch.zeros((), device=device)),
        metric=Metric.of(settings.metric),
        dt=settings.dt,
        layers=settings.layers,
        spread={name: spread[name] for name in job.sites if settings.layers},
        quickly=settings.precision == "bfloat16",
    )


class Fitting:
    """One training: its network, the optimiser, and what it has come to."""

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.settings = job, job.settings
        device = chosen_device(self.settings.device)
        fixed = {*job.fixed, *job.frozen}
        self.network = RoundedNetwork(job.graph, job.sites, self.settings.steps, fixed=fixed)
        self.network.to(device)
        self.judge = judge_of(job, self.network, device)
        groups = groups_of(self.network, self.settings)
        self._optimiser = optimiser_of(groups, self.settings)
        self._trained = [p for part in groups for p in part["params"]]
        self._rates = [part["lr"] for part in self._optimiser.param_groups]
        self.history: list[Epoch] = []
        self.kept = 0
        self._best: tuple[tuple[float, ...], _state.Tensors] | None = None
        self._way: Way = "time" if self.settings.method == "time" else "rounding"
        self._factor = 1.0  # of the rates
        self._before = 0.0  # seconds before the first epoch

    @property
    def learning_rate(self) -> float:
        """That of weights."""
        return self._factor * rate_of(self.settings)

    def run(self) -> None:
        """Train for so many epochs or seconds; the network is left as the epoch kept left it."""
        settings, data, held = self.settings, self.job.data, self.job.held_back
        checkpoint = self._resumed()
        begun = time.monotonic() - sum((e.seconds for e in self.history), self._before)
        if isinstance(data, TrainingSamples) and settings.epochs > 1:
            data = self.judge.teacher.remembered(data)
        held = None if held is None else self.judge.teacher.remembered(held)
        if not self.history:
            if held is not None:
                self._keep(held, 0)
                self.judge.budget.begin()
            if settings.chooses_rate:
                self._choose(data, self.job.first if held is None else held)
            self._before = time.monotonic() - begun
        with progress_bar(settings.epochs, settings.progress, "epochs") as advance:
            advance(len(self.history))
            while not self._ended(time.monotonic() - begun):
                self._epoch(data, held, begun)
                if checkpoint is not None:
                    checkpoint.save(self._state())
                advance(1)
        if self._best is not None and settings.keep == "best":
            self.network.load_state_dict(self._best[1])
        else:
            self.kept = len(self.history)
        if self.judge.budget and held is not None:
            self._meet(held)

    def _ended(self, passed: float) -> bool:
        """True after so many epochs or seconds, and where none was better for too long."""
        settings, done = self.settings, len(self.history)
        patience = settings.epochs if settings.patience is None else settings.patience
        late = settings.timeout is not None and passed >= settings.timeout
        return done >= settings.epochs or (done > 0 and late) or done - self.kept >= patience

    def _epoch(
        self, data: TrainingSamples | SampleStream, held: TrainingSamples | None, begun: float
    ) -> None:
        settings, number, start = self.settings, len(self.history), time.monotonic()
        self._way = self._chosen_way(held)
        steps = data.count(settings.batch_size)

        def passed(index: int) -> float:
            share = (number + min(1.0, (index + 0.5) / steps)) / settings.epochs
            return max(share, self._share_of_time(begun))

        loss = float(np.mean(self._losses(data, number, passed)))
        if not np.isfinite(loss):
            raise TrainingError(
                f"epoch {number + 1}: the loss is {loss}. The conversion is left as it was; give a "
                "smaller learning_rate"
            )
        found = None if held is None else self._keep(held, number + 1)
        self.history.append(Epoch(number + 1, self._way, loss, found, time.monotonic() - start))

    def _losses(
        self, data: TrainingSamples | SampleStream, number: int, passed: Callable[[int], float]
    ) -> list[float]:
        """The loss of every batch of an epoch, or of its first ones.

        `passed` gives the share of a training that is over by each batch, by its number: learning
        rates follow it. The batches end once it is 1, and at a loss that is not finite.
        """
        settings, losses = self.settings, list[float]()
        for index, batch in enumerate(data.shuffled(settings.batch_size, settings.seed, number)):
            share = passed(index)
            self.judge.budget.ease(share)
            for part, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
                part["lr"] = self._factor * rate * course(min(1.0, share))
            losses.append(self._step(batch))
            if share >= 1.0 or not np.isfinite(losses[-1]):
                break
        return losses

    def _share_of_time(self, begun: float) -> float:
        timeout = self.settings.timeout
        return 0.0 if timeout is None else (time.monotonic() - begun) / timeout

    def _choose(self, data: TrainingSamples | SampleStream, judged: TrainingSamples) -> None:
        """Choose the rate by short trials, and with "auto" how to begin, where there is room.

        The training goes on from the best one, unless that is worse than the beginning.
        """
        most = _trials.batches_of_a_trial(data, self.settings)
        if most is None:
            return
        judged = judged.at(slice(0, _trials.JUDGED))
        first, start = self.judge.measured(judged).loss, deepcopy(self._state())

        def tried(factor: float, way: Way) -> _trials.RateTrial:
            self._take(start)
            self._factor, self._way = factor, way
            losses = self._part(data, most)
            finite = np.isfinite(losses[-1])
            loss = self.judge.measured(judged).loss if finite else losses[-1]
            return _trials.RateTrial(loss, factor, len(losses), deepcopy(self._state()))

        undecided = self.settings.method == "auto" and not self.job.exact
        best = _trials.chosen(tried, ("time", "rounding") if undecided else (self._way,))
        if best is None:
            self._take(start)
        else:
            self._take({**(best.state if best.loss < first else start), **best.beginning})

    def _part(self, data: TrainingSamples | SampleStream, most: int) -> list[float]:
        """A trial of so many batches, or those that there is time for; their losses."""
        begun = time.monotonic()

        def passed(index: int) -> float:
            return max((index + 1) / most, self._share_of_time(begun) / _trials.SHARE)

        return self._losses(data, 0, passed)

    def _chosen_way(self, held: TrainingSamples | None) -> Way:
        """With "auto" first through rounding, which costs less, then time where the two differ."""
        if self.settings.method != "auto" or self.job.exact or self._way == "time":
            return self._way
        if not self.history:
            return "rounding"
        samples = self.job.first if held is None else held
        return "time" if self.judge.timing(samples) > _TIMING else "rounding"

    def _step(self, batch: TrainingSamples) -> float:
        """One step of the optimiser, unless the loss is not finite; returns it.

        What spikes weigh beside it is left out.
        """
        loss, penalty = self.judge.loss(batch, self._way)
        whole, value = loss + penalty, float(loss.detach())
        if not np.isfinite(float(whole.detach())):
            return value if not np.isfinite(value) else float("nan")
        self._optimiser.zero_grad()
        whole.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, _NORM)
        self._optimiser.step()
        self.network.keep_bounds()
        return value

    def _keep(self, held: TrainingSamples, number: int) -> Measured:
        """Measure on what is held back, and remember the network if none before was better."""
        found = self.judge.measured(held)
        rank = self._ranked(found)
        if self._best is None or rank > self._best[0]:
            state = self.network.state_dict()
            self._best = rank, {name: value.clone() for name, value in state.items()}
            self.kept = number
        return found

    def _ranked(self, found: Measured) -> tuple[float, ...]:
        """The better the larger: within all budgets, then a metric or accuracy, then the loss."""
        excess = self.judge.budget.excess
        if excess > 0:
            return (-excess,)
        first = found.accuracy if found.score is None else found.score
        return (0.0, 0.0 if first is None else first, -found.loss)

    def _meet(self, held: TrainingSamples) -> None:
        """Bring thresholds to what is allowed; raises `TrainingError` where little is left."""
        self.judge.budget.meet(self.network, lambda: self.judge.measured(held))
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        scale(list(self.network.roundings.values()), _SILENCE)
        silent = self.judge.measured(held)
        self.network.load_state_dict(state)  # to the bit
        found = self.judge.measured(held)
        if found.loss >= silent.loss:
            names = " and ".join(sorted({bound.name for bound in self.job.bounds}))
            raise TrainingError(
                f"{names}: is below what the loss allows: the loss is {found.loss:.3g}, and "
                f"{silent.loss:.3g} where no neuron sends a spike. Give a larger budget, or more "
                "epochs"
            )

    def _resumed(self) -> TrainingCheckpoint | None:
        """The checkpoint, if one is kept; what it holds is taken up."""
        if self.settings.checkpoint is None:
            return None
        checkpoint = TrainingCheckpoint(self.settings.checkpoint, self.job.about())
        found = checkpoint.load()
        if found is not None:
            try:
                self._take(found)
            except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
                raise checkpoint.damage(error) from error
        return checkpoint

    def _state(self) -> dict[str, Any]:
        """All that the next epochs depend on, plain data with arrays."""
        best = self._best
        return {
            "network": _state.of_tensors(self.network.state_dict()),
            "optimiser": _state.of_optimiser(self._optimiser),
            "budget": _state.of_budget(self.judge.budget),
            "history": _state.of_history(self.history),
            "best": None if best is None else _state.of_tensors(best[1]),
            "rank": None if best is None else list(best[0]),
            "kept": self.kept,
            "way": self._way,
            "factor": self._factor,
            "before": self._before,
            "random": torch.get_rng_state().numpy(),
        }

    def _take(self, state: Any) -> None:
        self.network.load_state_dict(_state.to_tensors(state["network"]))
        _state.to_optimiser(self._optimiser, state["optimiser"])
        _state.to_budget(self.judge.budget, state["budget"])
        self.history = _state.to_history(state["history"])
        if state["best"] is not None:
            self._best = tuple(state["rank"]), _state.to_tensors(state["best"])
        self.kept, self._way = state["kept"], state["way"]
        self._factor, self._before = state["factor"], state["before"]
        torch.set_rng_state(torch.tensor(state["random"]))


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """The same results for the same seed on one machine; torch's own random numbers untouched."""
    before, filling = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
    filled = filling.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        filling.fill_uninitialized_memory = False  # no result is read from such memory
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            filling.fill_uninitialized_memory = filled
