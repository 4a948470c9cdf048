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
    """The parts, `(batch, *shape)` each; their sum is `value` less what the layer's readers got.

    `value` is the source's, `arriving` the means of what reached the layer and `sent` the mean of
    what it sent. With `f` the source's layer and `z` the mean current,

    * inherited: `value - f(arriving)`, what earlier layers have lost,
    * policy: `f(arriving) - g(z)`, what was changed on purpose: `g` is the rate function of the
      neurons that were chosen, or the layer that was put in the place of `f`, and `z` holds what
      was added to the bias,
    * clipping: what of `g(z)` is more than the cap on spikes lets through,
    * quantisation: the rest of it that whole spikes cannot express, from the voltage at the start
      on, where the current arrives evenly,
    * arrival order: what the neurons sent less because it did not (spikes sent too early are not
      taken back, late ones do not come any more); the noise of neurons that draw at random,
    * settling: what the synapse had not passed on by the end.
    """
    exact = site.exact.evaluate(*arriving)
    cells = site.cells
    if cells is None:
        response = clipped = steady = site.present.evaluate(*arriving)
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
    """The gap's sum of squares, and what each part contributes: `sum(part * gap)`.

    Contributions add up to the sum of squares exactly; one below zero makes up for others.
    """
    gap = np.sum(list(parts.values()), axis=0)
    return float(np.vdot(gap, gap)), {name: float(np.vdot(p, gap)) for name, p in parts.items()}
