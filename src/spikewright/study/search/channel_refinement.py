"""Refinement: the channels of a good setting one by one, each moved while that pays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SpikewrightError
from spikewright.study.search.measurement import Measurement
from spikewright.study.search.objective import Objective
from spikewright.study.search.space import Values

_PRICES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Prices of a rise of the risk, in units of its worth at the limit."""

_SHARES = (1.0, 1 / 3)  # of the moves that pay, the best ones first
_PAYS = 0.002  # gain of a move that is made, as a logarithm of the cost
_FEWEST = 128  # samples that every move is measured on


class Move(NamedTuple):
    """Some channels of a layer, the octaves that they move by, and the effect of that.

    `saved` is the change of the logarithm of the cost, `risked` that of the risk.
    """

    layer: str
    channels: NDArray
    octaves: float
    saved: float
    risked: float


@dataclass(eq=False)
class Refinement:
    """Moves the scale of each channel up and down, alone, and puts together the moves that pay.

    First the change of cost and risk is measured for every move; then for several prices of the
    risk, the moves whose saving exceeds their price are made at once. The result is measured by the
    search: moves that are made together do not add up exactly. One look at all channels takes about
    `seconds`: on fewer samples, and with channels of similar scale moved together, where there are
    many.
    """

    objective: Objective
    seconds: float
    _found: dict[str, list[Values]] = field(default_factory=dict, init=False)

    def proposals(
        self, values: Values, point: Measurement, size: float, exchange: float
    ) -> Iterator[Values]:
        """Settings near a point, whose channels moved by `size` octaves; none is measured yet."""
        key = repr((sorted(values.items()), point.where, size))
        if key not in self._found:
            self._found[key] = list(self._combine(values, point, size, exchange))
        yield from self._found[key]

    def _combine(
        self, values: Values, point: Measurement, size: float, exchange: float
    ) -> Iterator[Values]:
        translation = self.objective.translation
        scales = translation.scales(values)
        moves = self._moves(values, scales, point, size)
        seen = set()
        for price in _PRICES:
            chosen = _paying(moves, price * exchange)
            for share in _SHARES:
                some = chosen[: math.ceil(share * len(chosen))]
                found = translation.refined(values, _moved(scales, some))
                text = repr(sorted(found.items()))
                if some and text not in seen:
                    seen.add(text)
                    yield found

    def _moves(
        self, values: Values, scales: Mapping[str, NDArray], point: Measurement, size: float
    ) -> list[Move]:
        """The effect of every move, on some of the samples."""
        pace = max(self.objective.seconds(point.steps, 1), 1e-9)
        affordable = self.seconds / (2 * pace)
        groups = _groups(scales, int(max(len(scales), affordable / _FEWEST)))
        count = sum(len(some) for some in groups.values())
        samples = self.objective.samples
        some = samples[: int(np.clip(affordable / count, _FEWEST, len(samples)))]
        biases = self.objective.convert(values).resolved["bias_correction"]

        def measured(scales: Mapping[str, NDArray]) -> tuple[float, float]:
            """Cost and risk, with biases of each step as the base has them."""
            changes = self.objective.translation.arguments(
                self.objective.translation.refined(values, scales)
            )
            moved = self.objective.conversion.again(**changes, bias_correction=biases)
            found = self.objective.of(moved, point.where, some)
            return found.cost, found.risk

        cost, risk = measured(scales)
        moves = []
        for layer, parts in groups.items():
            for channels in parts:
                for octaves in (-size, size):
                    move = Move(layer, channels, octaves, 0.0, 0.0)
                    try:
                        found = measured(_moved(scales, [move]))
                    except SpikewrightError:  # what cannot be run saves nothing
                        continue
                    saved = math.log(max(found[0], 1e-300) / max(cost, 1e-300))
                    moves.append(move._replace(saved=saved, risked=found[1] - risk))
        return moves


def _paying(moves: list[Move], price: float) -> list[Move]:
    """The moves whose saving exceeds their risk at this price, one a channel, the best first."""
    best: dict[tuple[str, int], tuple[float, Move]] = {}
    for move in moves:
        change = move.saved + price * move.risked
        place = move.layer, int(move.channels[0])
        if change < min(-_PAYS, best[place][0] if place in best else 0.0):
            best[place] = change, move
    return [move for _, move in sorted(best.values(), key=lambda item: item[0])]


def _moved(scales: Mapping[str, NDArray], moves: list[Move]) -> dict[str, NDArray]:
    found = {name: np.array(scale, float) for name, scale in scales.items()}
    for move in moves:
        found[move.layer][move.channels] *= 2.0**move.octaves
    return found


def _groups(scales: Mapping[str, NDArray], most: int) -> dict[str, list[NDArray]]:
    """Channels that move together: single ones while there are at most `most`."""
    total = sum(len(scale) for scale in scales.values())
    found = {}
    for name, scale in scales.items():
        share = max(1, min(len(scale), round(most * len(scale) / total)))
        found[name] = np.array_split(np.argsort(scale, kind="stable"), share)
    return found
