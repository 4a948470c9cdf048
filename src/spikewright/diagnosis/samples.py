"""The samples of a diagnosis: values of source and network for them, and the parts of the gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.sites import MeanFlow, Site, follow
from spikewright.graph import evaluate_all
from spikewright.graph.masks import Real, masks_of
from spikewright.measure import Run

Part = Literal["inherited", "policy", "clipping", "quantisation", "arrival order", "settling"]
PARTS: tuple[Part, ...] = get_args(Part)
_VALUES = 4_000_000  # values of all layers that are looked at at once


def without_padding(real: Real | None, name: str, values: NDArray) -> NDArray:
    """A layer's values `(batch, *shape)` with 0 for those of padding."""
    counts = None if real is None else real.of(name)
    return values if counts is None else np.where(counts, values, 0.0)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples.

    `source` holds the source's value of every layer, `(batch, *shape)`; `parts` of every site's gap
    and `disorder`, the part of every population's gap that is due to the order of arrival. Both
    are 0 at padding; `real` tells what that is, None where there is none.
    """

    samples: slice
    source: Mapping[str, NDArray]
    parts: Mapping[str, Mapping[Part, NDArray]]
    real: Real | None = None

    def value(self, name: str, of: NDArray | None = None) -> NDArray:
        """A layer's values in the source, or these in place of them, with 0 for padding."""
        return without_padding(self.real, name, self.source[name] if of is None else of)

    @property
    def disorder(self) -> dict[str, NDArray]:
        """The loss of each site to arrival order."""
        return {name: parts["arrival order"] for name, parts in self.parts.items()}


@dataclass(frozen=True, eq=False)
class DiagnosedSamples:
    """All samples of a run, to be gone through in batches.

    `inputs` are `{name: array}`; `real_outputs` says which values of outputs count, of those that
    have some at padding.
    """

    plan: MeanFlow
    inputs: Mapping[str, NDArray]
    run: Run
    real_outputs: Mapping[str, NDArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def slices(self) -> list[slice]:
        """The batches, as large as memory lets them be."""
        values = sum(prod(shape) for shape in self.plan.graph.shapes.values())
        size = max(1, _VALUES // max(1, values))
        return [slice(i, min(i + size, len(self))) for i in range(0, len(self), size)]

    def __iter__(self) -> Iterator[Batch]:
        """Every batch; all but the first are worked out anew each time, for want of memory."""
        yield self.first
        for samples in self.slices[1:]:
            yield self._batch(samples)

    @cached_property
    def first(self) -> Batch:
        """The first batch: all samples, where they are few."""
        return self._batch(self.slices[0])

    def _batch(self, samples: slice) -> Batch:
        plan = self.plan
        given = {n: x[samples] for n, x in self.inputs.items()}
        source, real = evaluate_all(plan.graph, given), masks_of(plan.graph).real(given)
        parts: dict[str, Mapping[Part, NDArray]] = {}

        def measured(site: Site, arriving: tuple[NDArray, ...]) -> NDArray:
            sent = self._sent(site, arriving, samples)
            found = split(site, source[site.name], arriving, sent)
            parts[site.name] = {p: without_padding(real, site.name, v) for p, v in found.items()}
            return site.passed_on(sent)

        follow(plan, source, measured, plan.sites)
        return Batch(samples, source, parts, real)

    def _sent(self, site: Site, arriving: tuple[NDArray, ...], samples: slice) -> NDArray:
        """The mean that a site sent in the run: counted, or of a layer without neurons computed."""
        if site.cells is None:
            return site.made(*arriving)
        return self.run.populations[site.name].of(samples).means(self.plan.steps, self.plan.dt)


def split(
    site: Site, value: NDArray, arriving: tuple[NDArray, ...], sent: NDArray
) -> dict[Part, NDArray]:
    """The parts, `(batch, *shape)` each; their sum is `value` less the value that readers got.

    `value` is the source's, `arriving` the means that reached the layer and `sent` the mean that it
    sent. With `f` the source's layer and `z` the mean current,

    * inherited: `value - f(arriving)`, the loss of earlier layers,
    * policy: `f(arriving) - g(z)`, changes made on purpose. `g` is the rate function of the chosen
      neurons, or the layer that replaced `f`; `z` holds additions to the bias,
    * clipping: the part of `g(z)` above the cap on spikes,
    * quantisation: the part of the rest that whole spikes cannot express, from the voltage at the
      start on, where the current arrives evenly,
    * arrival order: the loss where the current arrived unevenly (spikes sent too early are not
      taken back, late ones do not come any more); the noise of neurons that draw at random,
    * settling: the part that the synapse had not passed on by the end.
    """
    exact = site.wanted(*arriving)
    cells = site.cells
    if cells is None:
        response = clipped = steady = site.made(*arriving)
    else:
        current = site.current(*arriving)
        response = cells.response(current)
        clipped, steady = cells.clipped(response), cells.steady(current)
    return {
        "inherited": value - exact,
        "policy": exact - response,
        "clipping": response - clipped,
        "quantisation": clipped - steady,
        "arrival order": steady - sent,
        "settling": sent - site.passed_on(sent),
    }


def shares(parts: Mapping[Part, NDArray]) -> tuple[float, dict[Part, float]]:
    """The gap's sum of squares, and the share of each part in it: `sum(part * gap)`.

    Contributions add up to the sum of squares exactly; one below zero makes up for others.
    """
    gap = np.sum(list(parts.values()), axis=0)
    return float(np.vdot(gap, gap)), {name: float(np.vdot(p, gap)) for name, p in parts.items()}
