"""The run that a page watches: block by block, with the latest values fed to its inputs.

Also what a page is told of it: what there is, what is new, and tuning curves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.explorer.live.parts import SLIDERS, STEPS, Plot, inputs_of, names_of, plots_of
from spikewright.explorer.message import pack
from spikewright.modelling.curves import response_curves, tuning_curves
from spikewright.modelling.nengo_reader.kinds import is_a
from spikewright.modelling.nengo_simulator import NengoSimulator
from spikewright.network import Network
from spikewright.simulator import Simulator

CURVES = 40
"""Neurons of an ensemble whose curves are shown, at most: the first ones."""

_LONGEST = 0.1  # seconds of a block: so long a page may wait until it is heard


@dataclass(frozen=True, eq=False)
class Seen:
    """The latest recordings up to a step, `(samples, shown)` for each plot.

    `begun` counts resets.
    """

    begun: int
    step: int
    kept: tuple[NDArray, ...]


class LiveRun:
    """A network that runs while it is watched; one caller at a time may advance it or reset it.

    `reset` takes its simulator back to before the first step, `close` ends it. `values` are those
    fed to each of `inputs`, `(size,)`: whoever moves one puts a new list there. `seen` is what
    was recorded, replaced as a whole, so that others may read it at any time.
    """

    def __init__(
        self,
        simulator: Simulator,
        title: str,
        reset: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        names = names_of(simulator.network)
        self.simulator, self.title, self._reset, self.close = simulator, title, reset, close
        constants = inputs_of(simulator, names)
        self.inputs = [given for given in constants if given.node.size_out <= SLIDERS]
        self.held = [given.name for given in constants if given.node.size_out > SLIDERS]
        self.plots = plots_of(simulator, names)
        represented = (e for e in simulator.network.all_ensembles if e.represents)
        self.ensembles = [(names[e], e) for e in represented if not e.is_direct]
        self.values: Sequence[Sequence[float]] = [given.first for given in self.inputs]
        self._pace = _LONGEST  # seconds a step, as last measured: at first unknown, so one alone
        self.seen = self._nothing(0)

    def _nothing(self, begun: int) -> Seen:
        return Seen(begun, 0, tuple(plot.shown(np.zeros((0, plot.size))) for plot in self.plots))

    @property
    def dt(self) -> float:
        """Seconds a step."""
        return self.simulator.dt

    def block(self, wanted: float) -> int:
        """Steps of the next block: the wanted ones, but not more than take a tenth of a second."""
        return max(1, min(STEPS, round(wanted), int(_LONGEST / self._pace)))

    def advance(self, steps: int) -> None:
        """Run so many steps with the present values.

        Raises as `Simulator.run_steps` does, and ends there: a reset begins anew.
        """
        fed = {
            given.node: np.reshape(values, given.node.shape_out)
            for given, values in zip(self.inputs, self.values, strict=True)
        }
        began = time.perf_counter()
        self.simulator.run_steps(steps, fed, progress_bar=False)
        self._pace = max(1e-9, (time.perf_counter() - began) / steps)
        new = [plot.shown(self.simulator.data[plot.probe]) for plot in self.plots]
        self.simulator.clear_probes()
        kept = tuple(
            np.concatenate([before, now])[-math.ceil(STEPS / plot.every) :]
            for plot, before, now in zip(self.plots, self.seen.kept, new, strict=True)
        )
        self.seen = Seen(self.seen.begun, self.seen.step + steps, kept)

    def reset(self) -> None:
        """Return to before the first step; inputs stay where they were moved."""
        self._reset()
        self.seen = self._nothing(self.seen.begun + 1)

    def since(self, now: Seen, begun: int, step: int) -> dict[str, NDArray]:
        """The samples of each plot since a step of that beginning, by number of the plot."""
        after = step if begun == now.begun else 0
        counts = [now.step // plot.every - after // plot.every for plot in self.plots]
        return {
            str(place): kept[max(0, len(kept) - count) :]
            for place, (kept, count) in enumerate(zip(now.kept, counts, strict=True))
        }


def is_network(model: Any) -> bool:
    """True for a network that was made by hand, Nengo's or one of this library."""
    return isinstance(model, Network) or is_a(model, "Network")


def live(network: Any) -> LiveRun:
    """The run of a `Network`, or of a `nengo.Network`.

    Raises as their simulators do, and `SimulationError` for a network without probes.
    """
    title = str(network.label or "Your network")
    if not network.all_probes:
        raise SimulationError(
            f"{network!r} has no probes, so there is nothing to see: make some, such as "
            "Probe(ensemble, synapse=0.02), inside `with network:`"
        )
    if isinstance(network, Network):
        made = Simulator(network, progress=False)
        return LiveRun(made, title, made.reset, made.close)
    theirs = NengoSimulator(network, progress_bar=False)
    return LiveRun(theirs.simulator, title, theirs.reset, theirs.close)


def facts(run: LiveRun) -> bytes:
    """The first message to a page: see `message.pack`."""
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
