"""The run that a page watches: block by block, with the latest values fed to its inputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.explorer.live.names import Names
from spikewright.explorer.live.parts import SLIDERS, STEPS, inputs_of, plots_of
from spikewright.simulator import Simulator

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
        names = Names(simulator.network)
        self.simulator, self.title, self._reset, self.close = simulator, title, reset, close
        constants = inputs_of(simulator, names)
        self.inputs = [given for given in constants if given.node.size_out <= SLIDERS]
        self.held = [given.name for given in constants if given.node.size_out > SLIDERS]
        self.plots = plots_of(simulator, names)
        represented = (e for e in simulator.network.all_ensembles if e.represents)
        self.ensembles = [(names.of(e), e) for e in represented if not e.is_direct]
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
