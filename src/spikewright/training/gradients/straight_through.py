"""The straight-through network: values rounded to whole spikes, gradients as if they were not.

A population has sent, after T steps of a mean current with response `f`, the value
`theta/T floor(T f/theta + v0)`, bounded by its cap of c spikes a step (and those that receivers
take as sent), and by 0 where it takes none back: exactly so for neurons that follow the sum of
their input (docs/decisions/design.md). Its gradient is that of the value before it was rounded: in
`n = floor(u)`, `u = T f/theta + v0`, the difference `n - u` is held. So the gradient to a value is
1 within the bounds and 0 outside; to theta it is `n/T - f/theta` within (Esser et al. 2020, learned
step size quantisation) and `c` above; to v0 it is `theta/T`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikewright.engines.torch.device import Tensor, numpy_of
from spikewright.graph import Graph
from spikewright.graph.layers import Convolution
from spikewright.lower.populations import steps_at_once
from spikewright.network.neurons import TOLERANCE, NeuronType
from spikewright.training.gradients.layers import value_of
from spikewright.training.gradients.parameters import (
    Arrays,
    GraphParameters,
    taken_in,
    weighted_before,
)
from spikewright.training.gradients.stepping import NeuronsOverSteps, Passed, SteppedNetwork, Values
from spikewright.training.quantized_layers import QuantizedLayer

_BELOW_ONE = 1.0 - 2.0 * TOLERANCE


class LearnedQuantizer(nn.Module):
    """A quantized layer with parameters: the logarithms of its thresholds, and its starts.

    `by_step` are the biases of each step, `(steps, ...)`, or None.

    Starts from 0 to below 1 stay there: beyond, all silent neurons of a layer spike at once, which
    no gradient tells.
    """

    def __init__(self, layer: QuantizedLayer, steps: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer, self.steps = layer, steps
        self.logarithm = nn.Parameter(torch.tensor(np.log(layer.threshold), dtype=dtype))
        self.start = nn.Parameter(torch.tensor(layer.start, dtype=dtype))
        start = self.start.detach()
        self.register_buffer("by_step", _by_step(layer, steps, dtype), persistent=False)
        self.register_buffer("_lowest", start.clamp(max=0.0), persistent=False)
        self.register_buffer("_highest", start.clamp(min=_BELOW_ONE), persistent=False)

    @torch.no_grad()
    def bring_back(self) -> None:
        """Bring starts back to where silent neurons stay silent, if they were there at first."""
        self.start.clamp_(self._lowest, self._highest)

    def biased(self, current: Tensor) -> Tensor:
        """A mean current and the mean of the biases that steps have of their own."""
        return current if self.by_step is None else current + self.by_step.mean(0)

    @property
    def threshold(self) -> Tensor:
        """Theta, always above zero."""
        return self.logarithm.exp()

    def spikes(self, counts: Tensor) -> Tensor:
        """The fewest spikes that say such counts."""
        kind = self.layer.kind
        return (counts - kind.assumed_at(1)).abs() / kind.height_at(1)  # no spike is worth more

    def forward(self, value: Tensor, sent: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The mean over all steps, and spikes less negative ones, with their gradients.

        `sent` are counts that take the place of the rounded ones, with the gradient of those.
        """
        return rounded(self.layer.kind, value, self.threshold, self.start, self.steps, sent)


def rounded(
    kind: NeuronType,
    value: Tensor,
    threshold: Tensor,
    start: Tensor,
    steps: int,
    sent: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The mean over all steps, and spikes less negative ones, as `LearnedQuantizer` has them.

    Digits are decided without the tolerance that other spikes have.
    """
    bound = kind.most_in(steps)
    most = None if bound is None else float(bound)
    start = start - TOLERANCE if kind.sends_digits else start
    made: tuple[Tensor, Tensor] = _Rounded.apply(
        value, threshold, start, steps, most, kind.negative, sent
    )
    return made


class DigitNeurons(nn.Module):
    """Neurons of signed digits that say all of them at once, as a part of a module.

    `forward` takes currents of one step `(1, batch, *shape)`, and passes on rounded values.
    """

    def __init__(self, layer: QuantizedLayer, steps: int, dtype: torch.dtype) -> None:
        super().__init__()
        self._layer, self._steps = layer, steps
        for name in ("threshold", "start"):
            kept = torch.tensor(getattr(layer, name), dtype=dtype)
            self.register_buffer(name, kept, persistent=False)

    def forward(self, xp: Any, currents: Tensor, state: Values, first: int) -> Passed:
        kind, numbers = self._layer.kind, (self.get_buffer("threshold"), self.get_buffer("start"))
        values = currents if self._layer.follows else kind.rates(xp, currents)
        mean, counts = rounded(kind, values, *numbers, self._steps)
        return Passed(mean, {}, counts)


class _Rounded(torch.autograd.Function):
    """`n = clip(floor(u), -most, most)` and `a = n theta/T`, of `u = T f/theta + v0`.

    Without negative spikes `n` is no less than 0, and the gradient passes all the same:
    a current that rises makes up for a low start. Written out, as each operation on values is a
    pass through memory. Let `g` be the gradient to `a`, and that to `n` over the height theta/T;
    outside the bounds it is 0. Then f has the gradient `g`, v0 `g theta/T`, and theta
    `-g f/theta`, and `n/T` times that to `a`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        threshold: Tensor,
        start: Tensor,
        steps: int,
        most: float | None,
        takes_back: bool,
        sent: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        free = torch.addcmul(start + TOLERANCE, value, steps / threshold).floor_()
        if sent is not None:
            n = sent
        else:
            n = _bounded(free, most, takes_back)
        ctx.save_for_backward(value, threshold, start, free, n)
        ctx.set_materialize_grads(False)
        ctx.steps, ctx.most = steps, most
        return n * (threshold / steps), n

    @staticmethod
    def backward(ctx: Any, to_mean: Tensor | None, to_count: Tensor | None) -> Any:
        value, threshold, start, free, n = ctx.saved_tensors
        _, of_threshold, of_start, *_ = ctx.needs_input_grad
        height = threshold / ctx.steps
        g = to_mean if to_count is None else to_count / height
        if to_mean is not None and to_count is not None:
            g = g + to_mean
        if g is not None and ctx.most is not None:
            g = _within(g, free, ctx.most + 0.5)
        to_threshold, to_start = None, None
        if g is not None and of_threshold:
            to_threshold = -(g * value).sum_to_size(threshold.shape) / threshold
        if to_mean is not None and of_threshold:
            to_threshold += (to_mean * n).sum_to_size(threshold.shape) / ctx.steps
        if g is not None and of_start:
            to_start = (g * height).sum_to_size(start.shape)
        return g, to_threshold, to_start, None, None, None, None


def _array(values: Tensor) -> NDArray:
    return numpy_of(values.detach()).astype(np.float64)


def _by_step(layer: QuantizedLayer, steps: int, dtype: torch.dtype) -> Tensor | None:
    """The biases of each of so many steps, `(steps, ...)`; None where steps have none."""
    if layer.biases is None:
        return None
    found = torch.zeros((steps, *layer.biases.shape[1:]), dtype=dtype)
    found[: len(layer.biases)] = torch.tensor(layer.biases[:steps], dtype=dtype)
    return found


def _bounded(free: Tensor, most: float | None, takes_back: bool) -> Tensor:
    """Counts within what neurons can send."""
    if most is not None:
        return free.clamp(-most if takes_back else 0.0, most)
    return free if takes_back else free.clamp(min=0.0)


def _within(gradient: Tensor, value: Tensor, bound: float) -> Tensor:
    """The gradient where a value is nearer to zero than its bound, and zero elsewhere."""
    made: Tensor = torch.ops.aten.hardtanh_backward(gradient, value, -bound, bound)
    return made


class StraightThroughNetwork(nn.Module):
    """A graph over torch in which the layers of `quantized` pass on rounded values."""

    def __init__(
        self,
        graph: Graph,
        quantized: Mapping[str, QuantizedLayer],
        steps: int,
        dtype: torch.dtype = torch.float32,
        fixed: Collection[tuple[str, str]] = (),
    ) -> None:
        super().__init__()
        self.graph, self.steps = graph, steps
        self.arrays = GraphParameters(graph, dtype, fixed)
        self.normalised = weighted_before(graph)
        self._sites = tuple(quantized)
        self._roundings = nn.ModuleList(
            LearnedQuantizer(layer, steps, dtype) for layer in quantized.values()
        )

    @property
    def at_once(self) -> int:
        """The number of steps whose input and biases come at once, in the first."""
        return steps_at_once(rounding.layer.kind for rounding in self._roundings)

    @property
    def following(self) -> list[str]:
        """The quantized layers that round the value of a function."""
        return [name for name, rounding in self.roundings.items() if rounding.layer.follows]

    @property
    def roundings(self) -> dict[str, LearnedQuantizer]:
        """The rounding of every quantized layer, by name."""
        return dict(zip(self._sites, self._roundings, strict=True))

    @property
    def numbers(self) -> dict[str, dict[str, NDArray]]:
        """The `threshold` and the `start` of every quantized layer, float64."""
        return {
            name: {"threshold": _array(one.threshold), "start": _array(one.start)}
            for name, one in self.roundings.items()
        }

    def keep_bounds(self) -> None:
        """Keep weights that are pruned at zero, and starts where silent neurons stay silent."""
        self.arrays.keep_pruned()
        for rounding in self._roundings:
            rounding.bring_back()

    def weights(self) -> Arrays:
        """All arrays by node and field; those before a normalisation in `normalised` hold it."""
        found: Arrays = {node.name: dict(self.arrays.of(node.name)) for node in self.graph}
        return taken_in(self.graph, self.normalised, found)

    def laid_out(self, inputs: Mapping[str, Tensor]) -> Values:
        """Inputs; images have their channels last in memory, where convolutions are fast."""
        first = any(
            isinstance(n.layer, Convolution) and not n.layer.channels_last for n in self.graph
        )
        return {
            name: x.contiguous(memory_format=torch.channels_last) if first and x.ndim == 4 else x
            for name, x in inputs.items()
        }

    def stepped(self, neurons: Mapping[str, NeuronsOverSteps], **how: Any) -> SteppedNetwork:
        """The network over steps with such neurons."""
        equations = {node.name: value_of for node in self.graph}
        skipped, following = self.normalised, self.following
        return SteppedNetwork(
            self.graph, self.weights(), equations, neurons, skipped, following, **how
        )

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        sent: Mapping[str, Tensor] | None = None,
    ) -> tuple[Values, Values]:
        """Values of all nodes, and the counts of quantized layers, by name.

        `sent` are counts that layers have sent in truth: they take the place of the rounded,
        with the gradient of those.
        """

        def passed_on(name: str, current: Tensor, *_: Any) -> Passed:
            rounding, given = self.roundings[name], None if sent is None else sent[name]
            value = rounding.biased(current.squeeze(0))
            if not rounding.layer.follows:
                layer, weights = self.graph[name].layer, once.weights[name]
                value = once.equations[name](layer, weights, value)
            mean, made = rounding(value, given)
            return Passed(mean[None], {}, made)

        names = [node.name for node in self.graph]
        neurons = {name: partial(passed_on, name) for name in self.roundings}
        once = self.stepped(neurons, present=names)
        laid_out = {name: x[None] for name, x in self.laid_out(inputs).items()}
        found = once.block(laid_out, {}, 0, keep=names)
        return {name: value.squeeze(0) for name, value in found.values.items()}, found.counts
