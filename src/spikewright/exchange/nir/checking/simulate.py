"""NIR's equations under the semantics of any reader, in NumPy and float64.

This is the evidence of a check: a difference is explained where these equations, with a reader's
semantics and its own spikes as input, give its spikes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.checking.cells import cell_of
from spikewright.exchange.nir.checking.semantics import Semantics
from spikewright.exchange.nir.checking.stateless import NotSimulated, apply
from spikewright.exchange.nir.checking.wiring import Wiring


@dataclass
class Trace:
    """Spikes by node and outputs, `(batch, steps, *shape)`.

    `near` is how close each neuron was to another number of spikes, as a share of its threshold.
    """

    spikes: dict[str, NDArray]
    near: dict[str, NDArray]
    output: NDArray


def simulate(
    wiring: Wiring,
    semantics: Semantics,
    x: NDArray,
    given: Mapping[str, NDArray] = MappingProxyType({}),
    dt: float = 1.0,
) -> Trace:
    """The graph on `x`, `(batch, steps, *shape)`, in steps of `dt` in the file's unit of time.

    Where spikes of a node are `given`, what reads it gets those, not the computed ones. Raises
    `NotSimulated`.
    """
    wiring = wiring.as_walked() if semantics.order == "walk" else wiring
    wiring = _EDGES[semantics.edges](wiring)
    cells = {name: cell_of(wiring.nodes[name], semantics, len(x), dt) for name in wiring.neurons}
    late = tuple(cells) if semantics.late else ()
    order = [name for name in wiring.order if name not in late]
    spikes: dict[str, list[NDArray]] = {name: [] for name in wiring.spiking}
    near: dict[str, list[NDArray]] = {name: [] for name in wiring.spiking}
    values: dict[str, NDArray] = {}
    outputs = []

    def arriving(name: str) -> NDArray:
        found = [values[source] for source in wiring.sources[name] if source in values]
        if not found:  # what comes round a loop is there a step later
            raise NotSimulated(f"nothing but a loop leads to {name!r}")
        return np.asarray(sum(found[1:], start=found[0]))

    def send(name: str, made: NDArray, step: int) -> None:
        values[name] = made if name not in given else given[name][:, step]
        if name in spikes:
            spikes[name].append(made)
            near[name].append(cells[name].near)

    for step in range(x.shape[1]):
        values[wiring.input] = x[:, step].astype(np.float64)
        for name in late:
            send(name, cells[name].send(), step)
        for name in order:
            if name in cells:
                cells[name].take(arriving(name))
                send(name, cells[name].send(), step)
            elif name != wiring.input:
                values[name] = apply(wiring.nodes[name], arriving(name))
        for name in late:
            cells[name].take(arriving(name))
        outputs.append(values[wiring.output])
    return Trace(_over_time(spikes), _over_time(near), np.stack(outputs, 1))


def _over_time(values: Mapping[str, list[NDArray]]) -> dict[str, NDArray]:
    return {name: np.stack(found, 1) for name, found in values.items()}


_EDGES: dict[str, Callable[[Wiring], Wiring]] = {
    "all": lambda wiring: wiring,
    "no late ones": Wiring.without_late_ones,
    "chain": Wiring.as_chain,
    "through loops": Wiring.through_loops,
}
