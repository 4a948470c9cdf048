"""Budgets of spikes or energy, met by running: spikes are measured, and scales corrected to fit.

A rule runs no network, so `EnergyBudget` counts on input that arrives evenly. Behind other layers
it does not, and neurons there send more, many times more where spikes are few. So the network is
run on the calibration data, and each layer's spikes get the price that was measured instead of the
expected one. The budget is split again; at last all thresholds move alike to close the remaining
distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright._base.progress import progress_bar
from spikewright.choosing import ScaleChoice
from spikewright.choosing.calibration import count
from spikewright.choosing.rules.budget_allocation import BudgetSplit, MeasuredCost
from spikewright.choosing.scales import ChosenScales, ScaleBudget
from spikewright.choosing.statistics.collect import Batch
from spikewright.engines import Totals
from spikewright.errors import BuildError, ConversionError
from spikewright.lower import Lowered
from spikewright.measure.operations import Counter
from spikewright.running.protocols import Made
from spikewright.running.run import feeds_for
from spikewright.running.runner import RunJob, Runner


class Batches(NamedTuple):
    """Batches that a network is run on; `few` where they are only some of the calibration data."""

    batches: Sequence[Batch]
    few: bool = False


class SpikeCost:
    """Measures the spikes of a network, or their energy, by running it on samples."""

    def __init__(self, lowered: Lowered, samples: Batches) -> None:
        self._lowered, self._samples = lowered, samples
        self._runner = Runner(lowered)
        self._ensembles = self._runner.populations()
        self._spiking = [n for n, e in self._ensembles.items() if e.neuron_type.spiking]
        self._counter: Counter | None = None

    def set_thresholds(self, budget: ScaleBudget, split: BudgetSplit) -> None:
        """Give the layers of a budget these thresholds."""
        for name, theta in split.thresholds.items():
            layer = budget.allocator.layers[name].layer
            self._ensembles[name].rate_scale = layer.spread(1.0 / (theta * budget.rule.dt))

    def cost(self, budget: ScaleBudget) -> MeasuredCost:
        """The cost of a budget's spiking layers on a sample, or on a step of a sequence."""
        rule = budget.rule
        totals, windows = self._totals(rule.steps, rule.dt)
        mine = {name: total for name, total in totals.items() if name in budget.context.settings}
        spikes = {name: float(total.sum()) / windows for name, total in mine.items()}
        each = spikes if rule.joules is None else self._joules(budget, mine, windows)
        return MeasuredCost(each, sum(map(count, self._samples.batches)), self._samples.few)

    def _totals(self, steps: int, dt: float) -> tuple[dict[str, NDArray], float]:
        """Spikes of each neuron in all samples together, and in how many times `steps` steps."""
        program = self._runner.program(dt, 0, "float32")
        engine = self._runner.engine("auto", program)
        sums: dict[str, NDArray] = {}
        windows = 0.0
        for batch in self._samples.batches:
            held = steps if self._lowered.stepping is None else None
            fed = feeds_for(self._lowered, batch, None, held, dt, 0)
            windows += fed.batch * fed.steps / steps
            job = RunJob(program, engine, fed.values, fed.batch, fed.steps)
            for part in self._runner.parts(job, self._runner.batch_size(engine), self._counted):
                for name, total in part.counted[fed.steps].items():
                    sums[name] = sums.get(name, np.zeros(())) + total
        return sums, windows

    def _counted(self, step: int, totals: Mapping[str, Totals], fed: object) -> dict[str, NDArray]:
        return {name: totals[name].sent.sum(axis=0, dtype=np.float64) for name in self._spiking}

    def _joules(
        self, budget: ScaleBudget, totals: Mapping[str, NDArray], windows: float
    ) -> dict[str, float]:
        """The energy of all additions that spikes cause, shared out by the weights that they meet.

        Spikes that pass a maximum over a window count behind it, so that only the sum is exact.
        """
        if self._counter is None:
            lowered, program = self._lowered, self._runner.program(budget.rule.dt, 0, "float32")
            self._counter = Counter(
                lowered.network, self._ensembles, lowered.inputs, program=program
            )
        nothing = {name: np.zeros((1, *self._ensembles[name].shape)) for name in self._spiking}
        sent = {name: total[None] for name, total in totals.items()}
        without, whole = (
            int(self._counter.count(given, budget.rule.steps).total().accumulates.sum())
            for given in (nothing, {**nothing, **sent})
        )
        paid = (whole - without) * budget.rule.joules_per_addition / windows
        met = {n: float(t.sum()) * budget.rule.price(budget.context, n) for n, t in totals.items()}
        return {name: paid * part / max(sum(met.values()), 1e-300) for name, part in met.items()}


CLOSE = 0.02
"""The distance to a budget, as a share of it, at which corrections end."""

KEPT = 0.05
"""The largest distance to a budget, as a share of it, at which it counts as met."""

_ATTEMPTS = 4  # at a budget together with corrections
_SPLITS = 4  # times that a budget is split anew
_RUNS = 16  # with all thresholds moved
_FARTHER = (0.0, 4.0)  # how much farther those of the last layer move than those of the first
_DEARER = 64.0  # times as dear as expected, or as cheap, at most
_STEP = math.log(8.0)  # by which all thresholds move at once, at most
_APART = 1e-4  # of factors between which there is nothing


@dataclass(frozen=True, eq=False)
class BudgetResult:
    """A budget, how it was split, and the measured cost; `share` is the part of it to be spent."""

    budget: ScaleBudget
    split: BudgetSplit
    cost: MeasuredCost
    share: float = 1.0

    @property
    def target(self) -> float:
        """The cost that the split should have: the share of the budget."""
        return self.budget.allocator.budget * self.share

    @property
    def deviation(self) -> float:
        """The distance of the cost from `target`, as a share of it; 0 where the best costs less."""
        deviation = self.cost.total / self.target - 1.0
        return abs(deviation) if self.split.spends_all or deviation > 0 else 0.0

    @property
    def choices(self) -> dict[str, ScaleChoice]:
        """The scale of each layer, and its text for the trace."""
        cost = self.cost._replace(remark=self._remark)
        return self.budget.rule.choices(
            self.budget.context, self.budget.allocator, self.split, cost
        )

    @property
    def _remark(self) -> str:
        if self.deviation > KEPT:
            return "no scales that were tried come nearer to the budget"
        if self.cost.total < (1 - KEPT) * self.target:
            return "more spikes would only make errors larger under the cap"
        return ""


def meet_budgets(
    chosen: ChosenScales,
    made: Callable[[ChosenScales], Made],
    samples: Batches,
    correct: Callable[[Made], dict[str, Any]] | None,
) -> tuple[Made, ChosenScales, dict[str, Any]]:
    """A network that meets its budgets, the scales for that, and the results of its corrections.

    Corrections change the number of spikes: then a share of the budget is aimed at, until all of it
    is spent with them. Raises `ConversionError` where the least that its layers can spend is more.
    """
    corrected: dict[str, Any] = {}
    shares = [1.0] * len(chosen.budgets)
    for _ in range(_ATTEMPTS):
        found = _meet_all(chosen.budgets, SpikeCost(made(chosen).lowered, samples), shares)
        chosen = _corrected(chosen, found)
        conversion = made(chosen)
        if correct is None:
            break
        corrected = correct(conversion)
        spike_cost = SpikeCost(conversion.lowered, samples)
        found = [replace(one, cost=spike_cost.cost(one.budget), share=1.0) for one in found]
        chosen = _corrected(chosen, found)
        if all(one.deviation <= CLOSE for one in found):
            break
        shares = [
            s * one.target / max(one.cost.total, 1e-3 * one.target)
            for s, one in zip(shares, found, strict=True)
        ]
    return conversion, chosen, corrected


def _corrected(chosen: ChosenScales, found: Sequence[BudgetResult]) -> ChosenScales:
    """The choices, with those of the budgets as they were met."""
    return chosen.corrected({n: choice for one in found for n, choice in one.choices.items()})


def _meet_all(
    budgets: Sequence[ScaleBudget], spike_cost: SpikeCost, shares: Sequence[float]
) -> list[BudgetResult]:
    """Every budget with the scales that spend a share of it, as measured by running."""
    with progress_bar(None, True, "runs to keep the budget") as advance:
        return [
            _BudgetSearch(budget, share, spike_cost, advance).search()
            for budget, share in zip(budgets, shares, strict=True)
        ]


@dataclass(eq=False)
class _BudgetSearch:
    """The search for the scales that spend a share of one budget."""

    budget: ScaleBudget
    share: float
    spike_cost: SpikeCost
    advance: Callable[[int], None]

    def search(self) -> BudgetResult:
        """The result that spends `target`; raises `ConversionError` if the cheapest costs more."""
        found = min(self._splits(), key=lambda one: one.deviation)
        if found.deviation > CLOSE:
            found = min(self._moves(found), key=lambda one: one.deviation)
        self.spike_cost.set_thresholds(self.budget, found.split)
        return found

    def _moves(self, found: BudgetResult) -> list[BudgetResult]:
        """Splits with all thresholds moved alike; if that is too little, later ones move more."""
        measured: list[BudgetResult] = []
        for farther in _FARTHER:
            measured += self._moved(found, farther)
            least = min(one.cost.total for one in measured)
            if least <= (1 + KEPT) * found.target:
                return measured
        raise self._infeasible(least)

    def _measured(self, split: BudgetSplit) -> BudgetResult:
        self.spike_cost.set_thresholds(self.budget, split)
        self.advance(1)
        return BudgetResult(self.budget, split, self.spike_cost.cost(self.budget), self.share)

    def _splits(self) -> Iterator[BudgetResult]:
        """Splits at the expected price of spikes, and then at the measured one, until one fits."""
        price_factors: dict[str, float] = {}
        for _ in range(_SPLITS):
            found = self._measured(self.budget.allocator.split(price_factors, self.share))
            yield found
            if found.deviation <= CLOSE:
                return
            for name, cost in found.cost.by_layer.items():
                expected = found.split.expected.get(name, 0.0)
                if cost > 0 and expected > 0:
                    times = float(np.clip(cost / expected, 1 / _DEARER, _DEARER))
                    price_factors[name] = math.sqrt(times * price_factors.get(name, times))

    def _moved(self, found: BudgetResult, farther: float) -> Iterator[BudgetResult]:
        """Thresholds divided by a factor, the first layer's by its 1 + `farther`th root.

        Those of layers in between by something between.
        """
        yield found
        split, place = found.split, 0.0
        powers = np.linspace(1.0 / (1.0 + farther), 1.0, len(split.thresholds))
        seen: dict[bool, tuple[float, float]] = {}
        for turn in range(_RUNS):
            deviation = math.log(max(found.cost.total / found.target, math.exp(-_STEP)))
            seen[deviation > 0] = place, deviation
            if len(seen) == 2 and abs(seen[True][0] - seen[False][0]) < _APART:
                return
            place = _next_place(seen, turn)
            factors = dict(zip(split.thresholds, np.exp(place * powers), strict=True))
            try:
                found = self._measured(self.budget.allocator.divided(split, factors))
            except BuildError:  # scales that no engine computes with: there is nothing farther
                return
            yield found
            if found.deviation <= CLOSE:
                return

    def _infeasible(self, least: float) -> ConversionError:
        rule = self.budget.rule
        reason = (
            f"{rule}: {rule.budget:.4g} {rule.unit} a sample are less than these neurons need: the "
            f"least possible is {least / self.share:.4g}"
        )
        options = "Give at least that, fewer steps, or neurons that start from half a spike or less"
        return refuse("scale_firing_rates", reason, options)


def _next_place(seen: Mapping[bool, tuple[float, float]], turn: int) -> float:
    """The logarithm of a factor to try, from the last ones with too much (True) and too little.

    They come with the logarithm of the cost over the target. A line through both shows where it is
    0, and halving helps where it is not a line.
    """
    if len(seen) < 2:
        ((place, deviation),) = seen.values()
        return place - float(np.clip(deviation, -_STEP, _STEP))
    (low, below), (high, above) = seen[False], seen[True]
    part = below / (below - above) if turn % 3 < 2 else 0.5
    return low + float(np.clip(part, 0.1, 0.9)) * (high - low)
