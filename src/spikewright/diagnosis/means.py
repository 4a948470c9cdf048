"""Means through a network: the source's layers, some of them as the spiking network has them.

Linear layers act on time means as on values, and so do the functions of running means; the only
other part is the response of each population to its mean current. So the mean of every value of a
spiking run follows from the means that its populations sent. Conversely, a network in which only
some layers spike, or spike otherwise, is computed without running it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.cells import finite
from spikewright.diagnosis.sites import MeanFlow, Site

Values = Mapping[str, NDArray]
Send = Callable[[Site, tuple[NDArray, ...]], NDArray]
"""The mean that the readers of a layer get, for the means `(batch, *shape)` that arrive at it."""


def follow(plan: MeanFlow, source: Values, send: Send, where: Container[str]) -> dict[str, NDArray]:
    """The mean of every layer's value, as its readers get it, `{name: (batch, *shape)}`.

    Sites in `where` do as `send` says, all other layers as the source; `source` are its values,
    which hold wherever nothing upstream has changed.
    """
    values = dict(source)
    changed: set[str] = set()
    for node in plan.graph:
        site = plan.sites.get(node.name) if node.name in where else None
        if site is None and changed.isdisjoint(node.inputs):
            continue
        inputs = tuple(values[name] for name in node.inputs)
        values[node.name] = (
            finite(node.layer.evaluate, *inputs) if site is None else send(site, inputs)
        )
        changed.add(node.name)
    return values


def present(plan: MeanFlow, source: Values, disorder: Values) -> dict[str, NDArray]:
    """The means of the network that a plan describes; `disorder` is lost to arrival order."""

    def send(site: Site, arriving: tuple[NDArray, ...]) -> NDArray:
        return site.reaches(*arriving, disorder=disorder.get(site.name, 0.0))

    return follow(plan, source, send, plan.sites)


def alone(
    plan: MeanFlow,
    source: Values,
    disorder: Values,
    name: str,
    factor: float | NDArray = 1.0,
) -> dict[str, NDArray]:
    """The means where one site alone is as the network has it, and all else as the source.

    Its neurons' rates are multiplied by `factor`, a number or an array that broadcasts to the
    layer. The effect of its spikes' arrival order on later populations is counted as a loss that
    this site causes; it falls with their height.
    """
    site = plan.sites[name].scaled(factor)
    shares = {other: of[name] for other, of in plan.blamed.items() if name in of}
    old, new = plan.sites[name].cells, site.cells
    height = 1.0 if old is None or new is None else new.mean_height / old.mean_height

    def send(found: Site, arriving: tuple[NDArray, ...]) -> NDArray:
        lost = disorder.get(found.name, 0.0) * (shares.get(found.name, 0.0) * height)
        if found.name == name:
            return site.reaches(*arriving, disorder=lost)
        lowest = -np.inf if found.cells is None else found.cells.lowest
        return np.maximum(found.wanted(*arriving) - lost, lowest)

    return follow(plan, source, send, {name, *shares})


def outputs_of(plan: MeanFlow, values: Values) -> dict[str, NDArray]:
    """The values of the outputs, by output name."""
    return {output: values[name] for output, name in plan.graph.outputs.items()}
