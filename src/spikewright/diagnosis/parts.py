"""The gap between a layer's values in the source and in the spiking network, split into parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.sites import Site

Part = Literal["inherited", "policy", "clipping", "quantisation", "arrival order", "settling"]
PARTS: tuple[Part, ...] = get_args(Part)


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
