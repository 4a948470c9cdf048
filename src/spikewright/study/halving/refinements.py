"""Adds corrections, and a fit of biases and thresholds to the best rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.errors import SpikewrightError
from spikewright.running.converted import all_capped
from spikewright.study.halving.candidates import corrected
from spikewright.study.halving.comparison import Comparison, count_of
from spikewright.study.halving.halving import Clock, Halving
from spikewright.study.setting import StudySetting

_OTHERS = 3  # rules behind the best that its correction is tried with
_CLOSE = 3  # candidates that are corrected on more samples
_EPOCHS, _MANY = 50, 1000  # of a fit without an end in time, and with one
_SHORT = 5.0  # seconds of a fit that are not worth its beginning


@dataclass(eq=False)
class Further:
    """Adds to the best of what was compared so far."""

    halving: Halving

    @property
    def comparison(self) -> Comparison:
        """The comparison that all candidates are part of."""
        return self.halving.comparison

    def correct(self, clock: Clock) -> None:
        """Compare with corrections: those of the best, then the best of these with other rules.

        These are the one that helps most and those that are not surely worse. Rules may have left:
        one that cuts off less may lose more alone, and less corrected.
        """
        first, *others = self.halving.ranked[: 1 + _OTHERS]
        made = self._corrected(first)
        self.halving.join(made, clock)
        close = self.halving.close
        if close[0] in made:
            kinds = [kind for kind, candidate in enumerate(made) if candidate in close]
            more = [self._corrected(other) for other in others]
            self.halving.join([found[kind] for kind in kinds for found in more], clock)

    def _corrected(self, candidate: StudySetting) -> list[StudySetting]:
        it = self.comparison
        return corrected(candidate, it.numbers(candidate), it.few, it.steps, it.dt)

    def measure_more(self, clock: Clock) -> None:
        """Compare the best with corrections measured on all samples that there are for them.

        What the mean of few samples misses is corrected too, as if it were the network's error:
        more by one correction than by another. So this is done with all that are close.
        """
        few, data = self.comparison.few, self.comparison.fitted
        if count_of(data) > count_of(few):
            close = [c for c in self.halving.hopeful if c.arguments.get("calibration") is few]
            more = [
                StudySetting(
                    f"{c.name}, on more samples", {**c.arguments, "calibration": data}, c.readouts
                )
                for c in close[:_CLOSE]
            ]
            self.halving.join(more, clock)

    def reconstruct(self, clock: Clock) -> None:
        """Compare the best with its biases, thresholds and starts fitted."""
        best = self.halving.ranked[0]
        timed = clock.end is not None
        seconds = clock.left - self.comparison.seconds_to_run if timed else None
        if seconds is not None and seconds < _SHORT:
            return
        name = f"{best.name}, reconstructed"
        try:
            made = StudySetting(name, self._fitted(best, seconds), best.readouts)
        except SpikewrightError as error:  # neurons that no training knows
            failed = StudySetting(name, {}, best.readouts)
            self.halving.gone.append(self.comparison.point(failed, failed=str(error)))
            return
        self.halving.join([made], clock)

    def _fitted(self, candidate: StudySetting, seconds: float | None) -> Mapping[str, Any]:
        """Arguments with biases, thresholds and starts as they were fitted.

        Under a cap on spikes its own are where the fit begins. Without one finer thresholds, and
        ever more spikes, would always be closer: then they are those of one spike a step.
        """
        before = self.comparison.conversion(candidate)
        made = before.reconstruct(
            self.comparison.fitted,
            steps=self.comparison.steps,
            dt=self.comparison.dt,
            thresholds="kept" if all_capped(before) else "chosen",
            timeout=seconds,
            epochs=_EPOCHS if seconds is None else _MANY,
            progress=False,
        )
        return made.resolved
