"""Ways to convert for a number of steps: rules, neurons, readouts, and what is added to the best.

Added are corrections, and a fit of biases and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.choosing.calibration import count
from spikewright.choosing.coding import SignedDigits
from spikewright.choosing.correction import (
    BiasCorrection,
    StepCorrection,
    VoltageCorrection,
)
from spikewright.choosing.rules import RULES, ScaleRule
from spikewright.choosing.rules.rule import brief
from spikewright.errors import SpikewrightError
from spikewright.measure.readout import READOUTS, EveryStep
from spikewright.network.neurons import BipolarIntegrateAndFire, IntegrateAndFire, RectifiedLinear
from spikewright.network.neurons.bipolar import MOST_DIGITS
from spikewright.running.protocols import all_capped
from spikewright.study.comparison import Comparison
from spikewright.study.halving import Halving, HalvingClock
from spikewright.study.point import StudySetting

_SOME = 32  # steps, up to which heights that fall are


def candidates_of(
    rules: Mapping[str, ScaleRule], steps: int, dt: float, cap: int | None, rectifies: bool = True
) -> list[StudySetting]:
    """Rules by name, for ReLU neurons with negative spikes and without.

    In few steps and under a cap also with first spikes that receivers take as sent, and with spikes
    of falling heights.
    """
    return [
        StudySetting(f"{name}{what}", {**neurons, "scale_firing_rates": rule}, _readouts(steps, dt))
        for what, neurons in _neurons(steps, cap, rectifies).items()
        for name, rule in rules.items()
    ]


def codes_of(steps: int, cap: int | None) -> list[StudySetting]:
    """The setting with signed digits in so many steps, unless several spikes a step are asked for.

    They have one readout, the complete value. A model that they cannot represent makes the setting
    fail, and its row names the reason.
    """
    if cap not in (None, 1) or steps > MOST_DIGITS:
        return []
    coding = SignedDigits(steps)
    chosen = {"spiking": True, "max_spikes_per_step": cap, "scale_firing_rates": None}
    return [StudySetting(brief(coding), {**chosen, "coding": coding})]


def compared_rules(steps: int, dt: float, cap: int | None) -> dict[str, ScaleRule]:
    """All registered rules for so many steps, by name."""
    return {
        name: rule
        for kind in RULES.values()
        for name, rule in kind.compared(steps, dt, cap).items()
    }


def _neurons(steps: int, cap: int | None, rectifies: bool) -> dict[str, dict[str, Any]]:
    """Arguments that choose neurons, by their description."""
    if not rectifies:
        return {"": {"spiking": True, "max_spikes_per_step": cap}}
    types = {", negative spikes": BipolarIntegrateAndFire(), "": IntegrateAndFire()}
    if cap is not None and 1 < steps <= _SOME:
        types[", heights fall"] = BipolarIntegrateAndFire.in_steps(steps, cap)
    return {
        what: {"spiking": {RectifiedLinear: neurons}, "max_spikes_per_step": cap}
        for what, neurons in types.items()
    }


def _readouts(steps: int, dt: float) -> tuple[EveryStep, ...]:
    """Every readout that is compared for so many steps, the mean over all of them first."""
    return tuple(r for name, kind in READOUTS.items() for r in kind.compared(name, steps, dt))


def corrected(
    candidate: StudySetting, numbers: Mapping[str, Any], data: Any, steps: int, dt: float
) -> list[StudySetting]:
    """The candidate with each correction of mean errors, measured on `data`.

    `numbers` are the arguments that its rules came to: they do not choose anew.
    """
    changes: dict[str, dict[str, Any]] = {
        "voltages corrected": {"initial_voltage": VoltageCorrection(steps, dt=dt)},
        "steps corrected": {"bias_correction": StepCorrection(steps, dt=dt)},
        "biases corrected": {"bias_correction": BiasCorrection(steps, dt=dt)},
    }
    return [
        StudySetting(
            f"{candidate.name}, {name}",
            {**numbers, **change, "calibration": data},
            candidate.readouts,
        )
        for name, change in changes.items()
    ]


_OTHERS = 3  # rules behind the best that its correction is tried with
_CLOSE = 3  # candidates that are corrected on more samples
_EPOCHS, _MANY = 50, 1000  # of a fit without an end in time, and with one
_SHORT = 5.0  # seconds of a fit that are not worth its beginning


@dataclass(eq=False)
class CandidateRefinement:
    """Adds corrections and fitted parameters to the best candidates that were compared so far."""

    halving: Halving

    @property
    def comparison(self) -> Comparison:
        """The comparison that all candidates are part of."""
        return self.halving.comparison

    @property
    def _rates(self) -> list[StudySetting]:
        """The candidates to which something can be added, the best first: those of firing rates."""
        return [one for one in self.halving.ranked if one.arguments.get("coding") is None]

    def correct(self, clock: HalvingClock) -> None:
        """Compare with corrections: those of the best, then the best of these with other rules.

        These are the one that helps most and those that are not surely worse. Rules may have left:
        one that cuts off less may lose more alone, and less corrected.
        """
        if not self._rates:
            return
        first, *others = self._rates[: 1 + _OTHERS]
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

    def measure_more(self, clock: HalvingClock) -> None:
        """Compare the best with corrections measured on all samples that there are for them.

        What the mean of few samples misses is corrected too, as if it were the network's error:
        more by one correction than by another. So this is done with all that are close.
        """
        few, data = self.comparison.few, self.comparison.fitted
        if count(data) > count(few):
            close = [c for c in self.halving.promising if c.arguments.get("calibration") is few]
            more = [
                StudySetting(
                    f"{c.name}, on more samples", {**c.arguments, "calibration": data}, c.readouts
                )
                for c in close[:_CLOSE]
            ]
            self.halving.join(more, clock)

    def reconstruct(self, clock: HalvingClock) -> None:
        """Compare the best with its biases, thresholds and starts fitted."""
        if not self._rates:
            return
        best = self._rates[0]
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
