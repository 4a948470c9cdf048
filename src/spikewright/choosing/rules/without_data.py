"""Rules that need no data: one constant scale, and scales from values that weights determine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import AboveZero, Natural, Positive
from spikewright.choosing.rules.clipping import Percentile
from spikewright.choosing.rules.context import RuleContext, ScaleChoice
from spikewright.choosing.rules.rule import ScaleRule, refused, register
from spikewright.choosing.statistics.collect import Values, collect_values
from spikewright.choosing.statistics.statistics import refusal
from spikewright.graph import Graph
from spikewright.graph.integer_inputs import random_rows, whole_inputs
from spikewright.graph.layers import BatchNormalization, Input


@register("constant-scale")
@dataclass(frozen=True)
class ConstantScale(ScaleRule):
    """s = `scale` for every layer, as a number in the place of a rule chooses it.

    It needs no data. With a budget, `EnergyBudget(steps, spikes, like=ConstantScale())`, the scale
    is the one that spends it. Law: equal for all layers. Source: the global scale of Rasmussen
    2019, Neuroinformatics 17:611.
    """

    scale: AboveZero = 1.0
    needs_data = False
    tried = "never"

    @classmethod
    def searched(cls) -> dict[str, ScaleRule | None]:
        """The simplest rule, which is the baseline of a search."""
        return {"one scale": cls()}

    def choose(self, context: RuleContext) -> dict[str, ScaleChoice]:
        """See the class."""
        choice = ScaleChoice(np.asarray(float(self.scale)), f"{self}: scale {self.scale:.4g}")
        return dict.fromkeys(context.settings, choice)


@register("data-free-calibration")
@dataclass(frozen=True)
class DataFreeCalibration(ScaleRule):
    """Another `rule`, on the values that random inputs cause, instead of data.

    Inputs are `samples` seeded draws between `low` and `high`, from even areas to noise. Weights
    carry their spread from layer to layer; batch normalisations give every channel the mean and
    variance of training, whatever the inputs were. For that, values are normalised over the drawn
    samples, then scaled and shifted.

    It cannot know how real inputs are correlated, how often a class or a feature occurs, or what
    their range is: the trace says so. Without batch normalisation expect little of deep networks.
    Law: theta(c W) = c theta(W) for a layer's weights and bias. Source: statistics of batch
    normalisation as data, Cai et al. 2020, ZeroQ (arXiv 2001.00281), and Nagel et al. 2019,
    Data-Free Quantization (arXiv 1906.04721).
    """

    low: float = 0.0
    high: float = 1.0
    rule: ScaleRule = field(default_factory=Percentile)
    samples: Positive = 64
    seed: Natural = 0
    needs_data = False
    tried = "never"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise refused(self, "low", f"inputs lie from low to high, got {self.low}, {self.high}")
        if not isinstance(self.rule, ScaleRule) or isinstance(self.rule, DataFreeCalibration):
            raise refused(self, "rule", f"it is a rule for data, got {self.rule!r}")

    def choose(self, context: RuleContext) -> dict[str, ScaleChoice]:
        """See the class."""
        graph = (
            context.read
            if all(name in context.read for name in context.settings)
            else context.graph
        )
        inputs = random_inputs(graph, self.low, self.high, self.samples, self.seed)
        statistics = collect_values(
            graph, list(context.settings), [(inputs, evaluate(graph, inputs))]
        )
        normalised = any(isinstance(node.layer, BatchNormalization) for node in graph)
        source = "weights and batch-norm statistics" if normalised else "weights alone"
        note = (
            f"from {source}, for inputs taken to lie in [{self.low:g}, {self.high:g}], not from "
            "data: how inputs are correlated and which of them occur is not known"
        )
        return {
            name: ScaleChoice(choice.scale, f"{choice.text}; {note}", doubtful=True)
            for name, choice in self.rule.choose(replace(context, statistics=statistics)).items()
        }


def random_inputs(
    graph: Graph, low: float, high: float, samples: int, seed: int
) -> dict[str, NDArray]:
    """Samples for every input, each between an even level and uniform noise.

    Whole numbers where inputs are to be whole.
    """
    rng, bounds = np.random.default_rng(seed), whole_inputs(graph)
    found = {}
    for name in graph.inputs:
        shape = graph.shapes[name]
        if name in bounds:
            found[name] = random_rows(rng, bounds[name], (samples, *shape))
            continue
        one = (samples, *(1,) * len(shape))
        share, level = rng.random(one), rng.random(one)
        found[name] = low + (high - low) * (
            share * rng.random((samples, *shape)) + (1 - share) * level
        )
    return found


def evaluate(graph: Graph, inputs: dict[str, NDArray]) -> Values:
    """The values of the graph on a batch where batch normalisations normalise over that batch."""
    values: dict[str, NDArray] = {}
    batch = len(next(iter(inputs.values())))
    for node in graph:
        layer = node.layer
        if isinstance(layer, Input):
            values[node.name] = inputs[node.name]
        elif isinstance(layer, BatchNormalization):
            values[node.name] = _normalised(layer, values[node.inputs[0]])
        else:
            value = layer.evaluate(*(values[name] for name in node.inputs))
            values[node.name] = np.broadcast_to(value, (batch, *value.shape[1:]))
        if not np.all(np.isfinite(values[node.name])):
            raise refusal(f"random inputs drive layer {node.name!r} out of range", "Give data")
    return values


def _normalised(layer: BatchNormalization, value: NDArray) -> NDArray:
    rank = value.ndim - 1
    axis = layer.axis % rank + 1
    axes = tuple(i for i in range(rank + 1) if i != axis)
    mean, variance = value.mean(axes), value.var(axes)
    return replace(layer, mean=mean, variance=variance).evaluate(value)
