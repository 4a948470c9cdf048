"""The question to a rule: layers, the settings of their neurons, and their statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from numpy.typing import NDArray

from spikewright.choosing.rules.coding import Code
from spikewright.choosing.rules.rounding import above_rounding
from spikewright.choosing.statistics.layer import LayerStatistics
from spikewright.choosing.statistics.statistics import Statistics
from spikewright.graph import Graph
from spikewright.measure.readout import EveryStep, kind_of


@dataclass(frozen=True)
class Setting:
    """Facts about one layer's neurons that a rule may use.

    `cap` is the largest number of spikes in a step, or None. `start` is the voltage before the
    first step in spikes (0.5 makes flooring rounding), or None where it is drawn uniformly from
    [0, 1). `averages` gives the number of steps of dt seconds over which the layer's synapse
    averages. In the first steps receivers take `assumed` spikes as sent, and spikes are worth
    `heights`.
    """

    cap: int | None = None
    start: float | None = 0.5
    averages: Callable[[float], float] = field(default=lambda dt: 1.0, repr=False)
    assumed: tuple[int, ...] = ()
    heights: tuple[int, ...] = ()

    def code(self, window: float, steps: float, cap: float | None) -> Code:
        """The code of neurons in the last `window` of so many steps, `cap` of them a step."""
        assumed = self.assumed_in(window, steps)
        return Code(window, cap, self.start, assumed, self.heights if window == steps else ())

    def assumed_in(self, window: float, steps: float) -> tuple[float, ...]:
        """The spikes that receivers take as sent in each of the last `window` of so many steps."""
        before = steps - window
        shares = (min(1.0, steps - i, i + 1 - before) for i in range(len(self.assumed)))
        return tuple(
            spikes * share for spikes, share in zip(self.assumed, shares, strict=True) if share > 0
        )

    def window(self, steps: int, dt: float, readout: EveryStep) -> float:
        """The number of steps, of `steps`, over which the readout averages.

        All of them where the mean is read out; where the last value is, as many as the synapse
        averages over. Raises `TypeError` for other readouts than those at every step.
        """
        kind = kind_of(readout)
        if kind is None:
            raise TypeError(f"{readout!r} is no readout")
        return max(steps - kind.left_out(steps, dt), min(float(steps), self.averages(dt)))


@dataclass(frozen=True, eq=False)
class Case:
    """The layers that a rule is to choose scales for, `settings`, and all that it may look at.

    `graph` is the one that is lowered, `read` the model as it was read, batch normalisations and
    all; `outputs` names the nodes whose values are read out. `statistics` is None without data.
    """

    graph: Graph
    read: Graph
    settings: Mapping[str, Setting]
    outputs: tuple[str, ...]
    statistics: Statistics | None = None

    @cached_property
    def layers(self) -> dict[str, LayerStatistics]:
        """The statistics of each of these layers, with 0 for values below rounding errors.

        Raises `TypeError` where there is no data.
        """
        found = above_rounding(self._known, self.graph)
        return {name: found[name] for name in self.settings}

    @property
    def examples(self) -> Mapping[str, NDArray]:
        """A few samples, `{input name: (samples, *shape)}`; raises `TypeError` without data."""
        return self._known.examples.values

    @property
    def _known(self) -> Statistics:
        if self.statistics is None:
            raise TypeError("a rule that looks at data needs statistics")
        return self.statistics


@dataclass(frozen=True, eq=False)
class Choice:
    """The firing-rate scale of one layer, a number or an array that broadcasts to its shape.

    `text` says how it was chosen; `doubtful` marks a choice that a user should look at.
    """

    scale: NDArray
    text: str
    doubtful: bool = False
