"""Messages to a page about a run: what there is, what is new, and tuning curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.explorer.frames import pack
from spikewright.explorer.live.parts import STEPS, Plot
from spikewright.explorer.live.run import LiveRun, Seen
from spikewright.modelling.curves import response_curves, tuning_curves

CURVES = 40
"""Neurons of an ensemble whose curves are shown, at most: the first ones."""


def facts(run: LiveRun) -> bytes:
    """The first message to a page: see `frames.pack`."""
    header = {
        "kind": "facts",
        "title": run.title,
        "dt": run.dt,
        "window": STEPS,
        "inputs": [
            {"name": given.name, "bound": given.bound, "first": given.first} for given in run.inputs
        ],
        "held": run.held,
        "plots": list(map(_told, run.plots)),
        "ensembles": [name for name, _ in run.ensembles],
    }
    return pack(header, {})


def _told(plot: Plot) -> dict[str, Any]:
    return {
        "name": plot.name,
        "raster": plot.height is not None,
        "every": plot.every,
        "size": plot.size,
        "shown": len(plot.numbers),
        "bound": plot.bound,
    }


def news(run: LiveRun, now: Seen, begun: int, step: int, **state: Any) -> bytes:
    """A message with the samples up to `now`, since a step of a beginning, and a state."""
    header = {"kind": "run", "begun": now.begun, "step": now.step, "values": run.values, **state}
    return pack(header, run.since(now, begun, step))


def curves(run: LiveRun, place: int) -> bytes:
    """A message with the responses of an ensemble's neurons to values held constant.

    In one dimension over the represented value, in more along each neuron's own encoder.
    """
    _, ensemble = run.ensembles[place]
    flat = ensemble.dimensions == 1
    x, rates = (tuning_curves if flat else response_curves)(run.simulator, ensemble)
    header = {
        "kind": "curves",
        "ensemble": place,
        "along": "represented values" if flat else "radii along each neuron's own encoder",
        "neurons": ensemble.n_neurons,
    }
    shown = {"x": np.ravel(x), "rates": rates.reshape(len(x), -1)[:, :CURVES]}
    return pack(header, {name: array.astype(np.float32) for name, array in shown.items()})
