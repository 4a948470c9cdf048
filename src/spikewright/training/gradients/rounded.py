"""The network whose activations are rounded: what neurons that take spikes back have sent.

A population has sent, after T steps of a mean current with response `f`, the value
`theta/T floor(T f/theta + v0)`, bounded by its cap of c spikes a step: exactly so for neurons that
follow the sum of their input (docs/architecture.md). Its gradient is that of the value before it
was rounded: in `n = floor(u)`, `u = T f/theta + v0`, the difference `n - u` is held. So the
gradient to a value is 1 within the bounds and 0 outside; to theta it is `n/T - f/theta` within
(Esser et al. 2020, learned step size quantisation) and `c` above; to v0 it is `theta/T`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import nn

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph
from spikewright.graph.layers import Input
from spikewright.network.neurons import TOLERANCE
from spikewright.training.gradients.layers import equation
from spikewright.training.gradients.parameters import Parameters
from spikewright.training.sites import Site

Values = dict[str, Tensor]


class Rounding(nn.Module):
    """A site with parameters: the logarithms of its thresholds, and its starts."""

    def __init__(self, site: Site, steps: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.site, self.steps, self.cap = site, steps, site.kind.most_spikes
        self.logarithm = nn.Parameter(torch.tensor(np.log(site.threshold), dtype=dtype))
        self.start = nn.Parameter(torch.tensor(site.start, dtype=dtype))

    @property
    def threshold(self) -> Tensor:
        """Theta, always above zero."""
        return self.logarithm.exp()

    def counts(self, value: Tensor) -> Tensor:
        """Spikes after all steps less those taken back, with the gradient of their number."""
        charge = value * (self.steps / self.threshold) + self.start
        held = charge.detach()
        n = charge + (torch.floor(held + TOLERANCE) - held)
        if self.cap is None:
            return n
        most = float(self.cap * self.steps)
        return n.clamp(-most, most)

    def height(self) -> Tensor:
        """What one spike more makes of the mean over all steps, in the units of values."""
        return self.threshold / self.steps


class RoundedNetwork(nn.Module):
    """A graph over torch in which the layers of `sites` pass on rounded values."""

    def __init__(
        self,
        graph: Graph,
        sites: Mapping[str, Site],
        steps: int,
        dtype: torch.dtype = torch.float32,
        fixed: Collection[tuple[str, str]] = (),
    ) -> None:
        super().__init__()
        self.graph, self.steps = graph, steps
        self.arrays = Parameters(graph, dtype, fixed)
        self._sites = tuple(sites)
        self._roundings = nn.ModuleList(Rounding(site, steps, dtype) for site in sites.values())

    @property
    def roundings(self) -> dict[str, Rounding]:
        """The rounding of every site, by name."""
        return dict(zip(self._sites, self._roundings, strict=True))

    def forward(
        self, inputs: Mapping[str, Tensor], sent: Mapping[str, Tensor] | None = None
    ) -> tuple[Values, Values]:
        """Values of all nodes, and the counts of all sites, by name.

        `sent` are counts that sites have sent in truth: they take the place of the rounded ones,
        with the gradient of those.
        """
        values, counts = dict(inputs), {}
        roundings = self.roundings
        batch = len(next(iter(inputs.values())))
        for node in self.graph:
            if not isinstance(node.layer, Input):
                read = (values[name] for name in node.inputs)
                value = equation(node.layer, self.arrays.of(node.name), *read)
                if node.layer.arity == 0:
                    value = value.expand(batch, *value.shape[1:])
                values[node.name] = value
            if node.name in roundings:
                rounding = roundings[node.name]
                n = rounding.counts(values[node.name])
                if sent is not None:
                    n = n + (sent[node.name] - n).detach()
                counts[node.name] = n
                values[node.name] = n * rounding.height()
        return values, counts
