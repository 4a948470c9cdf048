"""The loop: epochs of batches, the network on samples that are held back, and the best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright._base.codec import describing
from spikewright._base.progress import progress_bar
from spikewright.engines.torch.device import Tensor, chosen_device, numpy_of
from spikewright.errors import TrainingError
from spikewright.training.data import SampleStream, TrainingSamples
from spikewright.training.gradients.budget import SpikeBudget, scale
from spikewright.training.gradients.optimisers import (
    JUDGED,
    SHARE,
    RateTrial,
    batches_of_a_trial,
    chosen,
    course,
    groups_of,
    rate_of,
)
from spikewright.training.gradients.straight_through import StraightThroughNetwork
from spikewright.training.gradients.validation import Validator
from spikewright.training.history import FORMAT, Epoch, Measured, TrainingCheckpoint, Way
from spikewright.training.job import TrainingJob

_NORM = 1.0  # of all gradients together, at most
_TIMING = 0.25  # of the distance from the source, from which time is needed
_SILENCE = 1e9  # times its threshold: a neuron sends nothing


def fitted(job: TrainingJob) -> Fitting:
    """A training that was done."""
    with deterministic(job.settings["seed"]):
        fitting = Fitting(job)
        fitting.run()
    return fitting


class Fitting:
    """One training: its network, the optimiser, and what it has come to.

    That are the epochs in `history`, and the number of the one that was `kept`.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.settings = job, job.settings
        device = chosen_device(self.settings["device"])
        fixed, steps = {*job.fixed, *job.frozen}, self.settings["steps"]
        self.network = StraightThroughNetwork(job.graph, job.quantized, steps, fixed=fixed).to(
            device
        )
        self.validator = Validator(job, self.network, device)
        groups = groups_of(self.network, self.settings)
        self._optimiser = torch.optim.Adam(groups)
        self._trained = [p for part in groups for p in part["params"]]
        self._rates = [part["lr"] for part in self._optimiser.param_groups]
        self.history: list[Epoch] = []
        self.kept = 0
        self._best: tuple[tuple[float, ...], dict[str, Tensor]] | None = None
        self._way: Way = "time" if self.settings["method"] == "time" else "rounding"
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
        if isinstance(data, TrainingSamples) and settings["epochs"] > 1:
            data = self.validator.teacher.with_cached_targets(data)
        held = None if held is None else self.validator.teacher.with_cached_targets(held)
        if not self.history:
            if held is not None:
                self._keep(held, 0)
            if self.validator.budget is not None:
                self.validator.budget.begin()
            if settings["learning_rate"] == "chosen":
                self._choose(data, self.job.first if held is None else held)
            self._before = time.monotonic() - begun
        with progress_bar(settings["epochs"], settings["progress"], "epochs") as advance:
            advance(len(self.history))
            while not self._ended(time.monotonic() - begun):
                self._epoch(data, held, begun)
                if checkpoint is not None:
                    checkpoint.save(self._state())
                advance(1)
        if self._best is not None and settings["keep"] == "best":
            self.network.load_state_dict(self._best[1])
        else:
            self.kept = len(self.history)
        if self.validator.budget is not None and held is not None:
            self._meet(self.validator.budget, held)

    def _ended(self, passed: float) -> bool:
        """True after so many epochs or seconds."""
        epochs, timeout, done = self.settings["epochs"], self.settings["timeout"], len(self.history)
        late = timeout is not None and passed >= timeout
        return done >= epochs or (done > 0 and late)

    def _epoch(
        self, data: TrainingSamples | SampleStream, held: TrainingSamples | None, begun: float
    ) -> None:
        settings, number, start = self.settings, len(self.history), time.monotonic()
        self._way = self._chosen_way(held)
        steps = data.count(settings["batch_size"])

        def passed(index: int) -> float:
            share = (number + min(1.0, (index + 0.5) / steps)) / settings["epochs"]
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
        size, seed, losses = self.settings["batch_size"], self.settings["seed"], list[float]()
        for index, batch in enumerate(data.shuffled(size, seed, number)):
            share = passed(index)
            if self.validator.budget is not None:
                self.validator.budget.ease(share)
            for part, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
                part["lr"] = self._factor * rate * course(min(1.0, share))
            losses.append(self._step(batch))
            if share >= 1.0 or not np.isfinite(losses[-1]):
                break
        return losses

    def _share_of_time(self, begun: float) -> float:
        timeout = self.settings["timeout"]
        return 0.0 if timeout is None else (time.monotonic() - begun) / timeout

    def _choose(self, data: TrainingSamples | SampleStream, judged: TrainingSamples) -> None:
        """Choose the rate by short trials, and with "auto" how to begin, where there is room.

        The training goes on from the best one, unless that is worse than the beginning.
        """
        most = batches_of_a_trial(data, self.settings)
        if most is None:
            return
        judged = judged.at(slice(0, JUDGED))
        first, start = self.validator.measured(judged).loss, deepcopy(self._state())

        def tried(factor: float, way: Way) -> RateTrial:
            self._take(start)
            self._factor, self._way, begun = factor, way, time.monotonic()

            def passed(index: int) -> float:
                return max((index + 1) / most, self._share_of_time(begun) / SHARE)

            losses = self._losses(data, 0, passed)
            finite = np.isfinite(losses[-1])
            loss = self.validator.measured(judged).loss if finite else losses[-1]
            return RateTrial(loss, factor, way, len(losses), deepcopy(self._state()))

        undecided = self.settings["method"] == "auto" and not self.job.exact
        best = chosen(tried, ("time", "rounding") if undecided else (self._way,))
        self._take(start if best is None or not best.loss < first else best.state)
        if best is not None:
            self._factor, self._way = best.factor, best.way

    def _chosen_way(self, held: TrainingSamples | None) -> Way:
        """With "auto" first through rounding, which costs less, then time where the two differ."""
        if self.settings["method"] != "auto" or self.job.exact or self._way == "time":
            return self._way
        if not self.history:
            return "rounding"
        samples = self.job.first if held is None else held
        return "time" if self.validator.timing(samples) > _TIMING else "rounding"

    def _step(self, batch: TrainingSamples) -> float:
        """One step of the optimiser, unless the loss is not finite; returns it.

        What spikes weigh beside it is left out.
        """
        loss, penalty = self.validator.loss(batch, self._way)
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
        found = self.validator.measured(held)
        rank = self._ranked(found)
        if self._best is None or rank > self._best[0]:
            self._best, self.kept = (rank, self._copied()), number
        return found

    def _copied(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}

    def _ranked(self, found: Measured) -> tuple[float, ...]:
        """The better the larger: within the budget, then a metric or accuracy, then the loss."""
        budget = self.validator.budget
        if budget is not None and budget.excess > 0:
            return (-budget.excess,)
        first = found.accuracy if found.score is None else found.score
        return (0.0, 0.0 if first is None else first, -found.loss)

    def _meet(self, budget: SpikeBudget, held: TrainingSamples) -> None:
        """Bring thresholds to what is allowed; raises `TrainingError` where little is left."""
        budget.meet(lambda: self.validator.measured(held))
        state = self._copied()
        scale(list(self.network.roundings.values()), _SILENCE)
        silent = self.validator.measured(held)
        self.network.load_state_dict(state)  # to the bit
        found = self.validator.measured(held)
        if found.loss >= silent.loss:
            raise TrainingError(
                f"spikes={budget.limit:g}: is below what the loss allows: the loss is "
                f"{found.loss:.3g}, and {silent.loss:.3g} where no neuron sends a spike. Give a "
                "larger budget, or more epochs"
            )

    def _resumed(self) -> TrainingCheckpoint | None:
        """The checkpoint, if one is kept; what it holds is taken up."""
        path = self.settings["checkpoint"]
        if path is None:
            return None
        checkpoint = TrainingCheckpoint(path, self.job.about())
        found = checkpoint.load()
        if found is not None:
            with describing(FORMAT.kind, path):
                self._take(found)
        return checkpoint

    def _state(self) -> dict[str, Any]:
        """All that the next epochs depend on, plain data with arrays and epochs.

        Rates and options of the optimiser are a call's arguments.
        """
        rank, best = (None, None) if self._best is None else self._best
        budget = self.validator.budget
        found: dict[str, Any] = _as_arrays(
            {
                "network": self.network.state_dict(),
                "optimiser": self._optimiser.state_dict()["state"],
                "budget": [] if budget is None else [(budget.value, budget.sent, budget.first)],
                "history": self.history,
                "best": best,
                "rank": rank,
                "kept": self.kept,
                "way": self._way,
                "factor": self._factor,
                "before": self._before,
                "random": torch.get_rng_state(),
            }
        )
        return found

    def _take(self, state: Any) -> None:
        found = _as_tensors(state)
        self.network.load_state_dict(found["network"])
        kept = {int(number): entry for number, entry in found["optimiser"].items()}
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": kept, "param_groups": groups})
        if (budget := self.validator.budget) is not None:
            (numbers,) = found["budget"]
            budget.value, budget.sent, budget.first = map(float, numbers)
        self.history = [replace(epoch) for epoch in found["history"]]  # raises for other things
        if found["best"] is not None:
            self._best = tuple(found["rank"]), found["best"]
        self.kept, self._way = found["kept"], found["way"]
        self._factor, self._before = found["factor"], found["before"]
        torch.set_rng_state(found["random"])


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


def _as_arrays(value: Any) -> Any:
    """A value with arrays in the place of its tensors, and text in that of keys."""
    if torch.is_tensor(value):
        return numpy_of(value.detach())
    if isinstance(value, Mapping):
        return {str(key): _as_arrays(entry) for key, entry in value.items()}
    return value


def _as_tensors(value: Any) -> Any:
    """A value with tensors in the place of its arrays; they share no memory with them."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, Mapping):
        return {key: _as_tensors(entry) for key, entry in value.items()}
    return value
