"""The objective of the search: values of parameters in, their loss and cost out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.correction import StepCorrection
from spikewright.choosing.rules.rule import brief
from spikewright.conversion import Conversion
from spikewright.errors import TuningError
from spikewright.lower.coding import Coding
from spikewright.measure.readout import READOUTS, EveryStep, kind_of
from spikewright.running.own_steps import complete_readouts, network_steps
from spikewright.study.point import Minimise
from spikewright.study.programs import ProgramWriter
from spikewright.study.search.certificate import PairedLoss
from spikewright.study.search.coding import CODING, code_of, waiting_otherwise, with_code
from spikewright.study.search.measurement import Measurement
from spikewright.study.search.parameters import (
    CORRECTION,
    Translation,
    neurons_of,
    rounded,
    values_for,
)
from spikewright.study.search.samples import Labelled, Outcome, Running, run
from spikewright.study.search.space import Plain, Space, Values, choices_of

_CORRECTED = 128  # samples that biases of each step are measured on
_TRIAL = 0.05  # of the time at most for one trial
_LATELY = 30  # runs, whose times predict those of others
_LONG = 1_000_000  # steps, that every readout leaves some of


@dataclass(eq=False)
class SamplePace:
    """The time of runs: a part that all have, and one for each step of a sample.

    A line through the times of the last runs, that of the median slope between two of them (Theil
    and Sen). While all were as long, it goes through the origin. The first run of all, in which
    kernels are loaded and compiled, counts while there is no other.
    """

    _runs: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_LATELY))
    _warm: bool = field(default=False, init=False)

    def add(self, work: int, seconds: float) -> None:
        """Note a run of so many steps of samples."""
        if self._runs and not self._warm:
            self._runs.clear()
            self._warm = True
        self._runs.append((work, seconds))

    def seconds(self, work: int) -> float:
        """About how long so many steps of samples take, 0 before anything was run."""
        if not self._runs:
            return 0.0
        works, times = np.array(self._runs, np.float64).T
        first, second = np.triu_indices(len(works), 1)
        apart = works[second] != works[first]
        later, more = (values[second] - values[first] for values in (times, works))
        slope = float(np.median(later[apart] / more[apart])) if apart.any() else 0.0
        if slope <= 0:
            return work * float(times.sum() / works.sum())
        return max(0.0, float(np.median(times - slope * works))) + slope * work


@dataclass(eq=False)
class Objective:
    """Converts, runs and measures settings of a `space` on the samples that a search sees.

    `minimise` names the cost, `timeout` says how many seconds the search may take, and `most_steps`
    how many steps of the network an answer.
    """

    conversion: Conversion
    translation: Translation
    space: Space
    minimise: Minimise
    running: Running
    samples: Labelled
    timeout: float
    most_steps: int | None = None
    pace: SamplePace = field(default_factory=SamplePace, init=False)
    correcting: SamplePace = field(default_factory=SamplePace, init=False)
    _converted: tuple[str, Conversion] | None = field(default=None, init=False)
    _keys: dict[tuple, str] = field(default_factory=dict, init=False)
    _lengths: dict[Plain, int] = field(default_factory=dict, init=False)

    @cached_property
    def known(self) -> Mapping[str, NDArray]:
        """Inputs that biases of each step are measured on."""
        return self.samples[:_CORRECTED].x

    def seconds(self, steps: int, samples: int) -> float:
        """About how long so many samples take, 0 before any was run."""
        return self.pace.seconds(steps * samples)

    def trial(self, values: Mapping[str, Plain], samples: int) -> float:
        """About how long so many samples take under these values, corrections included."""
        steps = int(values["steps"] or 1)
        corrected = self.correcting.seconds(steps) if values.get(CORRECTION) else 0.0
        return self.seconds(steps, samples) + corrected

    def affordable(self, values: Mapping[str, Plain]) -> bool:
        """True for trials that take at most their share of the time, and for the shortest runs.

        Without these nothing would be run after one that was slow by chance; a code has no shorter
        one. An answer takes at most as many steps as it may.
        """
        if self.most_steps is not None and self.length(values) > self.most_steps:
            return False
        shortest = values.get(CODING) or values["steps"] == min(choices_of(self.space, "steps"))
        if shortest and values.get(CORRECTION) is None:
            return True
        return self.trial(values, len(self.samples)) <= _TRIAL * self.timeout

    def length(self, values: Mapping[str, Plain]) -> int:
        """The steps of the network that an answer takes under these values."""
        steps, code = int(values["steps"] or 1), values.get(CODING)
        if code is None:
            return steps
        if code not in self._lengths:
            self._lengths[code] = network_steps(self.convert(values).lowered, steps)
        return self._lengths[code]

    def coded(self, code: Coding, space: Space) -> Values:
        """The values of a code with a number of steps, with the scales that the code chooses.

        They are tried on a sample, with as few silent steps as the network's steps need. Raises as
        `values_for` does, as converting and running do, and `TuningError` for too many steps.
        """
        values = values_for(code, space)
        made = self.conversion.replace(**neurons_of(values), calibration=self.known)
        scales = self.translation.by_channel(made.resolved["scale_firing_rates"])
        found = self._fitting(self.translation.refined(with_code(values, made.coding), scales))
        self.measure(found, slice(1))
        return found

    def _fitting(self, values: Values) -> Values:
        """The values, with silent steps less until an answer takes no more steps than it may."""
        most = self.most_steps
        while most is not None and (length := self.length(values)) > most:
            fewer = next(waiting_otherwise(values), values)
            if fewer == values:
                raise TuningError(
                    f"max_network_steps={most}: {brief(code_of(values))} takes {length} steps of "
                    "the network. Allow more, or leave that code out"
                )
            values = fewer
        return values

    def identify(self, values: Mapping[str, Plain]) -> str:
        """A key of the network and run that values stand for."""
        given = tuple(sorted(values.items()))
        if given not in self._keys:
            corrected = values.get(CORRECTION) or ""
            arguments = ProgramWriter().text(self.translation.arguments(values))
            found = f"{values['steps']} {corrected}{arguments}"
            self._keys[given] = sha256(found.encode()).hexdigest()[:16]
        return self._keys[given]

    def shorten(self, values: Values, steps: int) -> Values:
        """The values of the same network in fewer steps."""
        return self.translation.shortened(values, steps)

    def convert(self, values: Mapping[str, Plain]) -> Conversion:
        """The network under these values; the last one is kept."""
        key = self.identify(values)
        if self._converted is None or self._converted[0] != key:
            arguments = self.translation.arguments(values)
            if values.get(CORRECTION) is not None:
                arguments["bias_correction"] = self._biases(arguments, int(values["steps"] or 1))
            self._converted = key, self.conversion.replace(**arguments)
        return self._converted[1]

    def _biases(self, arguments: Mapping[str, Any], steps: int) -> dict[str, NDArray]:
        """A bias for each channel and step, of few digits, by layer."""
        begun = time.monotonic()
        rule = StepCorrection(steps, dt=self.running.dt, per="channel")
        measured = self.conversion.replace(
            **arguments, bias_correction=rule, calibration=self.known
        )
        self.correcting.add(steps, time.monotonic() - begun)
        return {
            name: rounded(biases).reshape(biases.shape)
            for name, biases in measured.resolved["bias_correction"].items()
        }

    def measure(self, values: Mapping[str, Plain], part: slice) -> list[Measurement]:
        """Measure on some of the samples, at every number of steps and under every readout."""
        most, conversion = int(values["steps"] or 1), self.convert(values)
        fewer = () if values.get(CODING) is not None else choices_of(self.space, "steps")
        at = sorted({step for step in fewer if step <= most} | {most})
        readouts = self._readouts(conversion, at)
        return self._points(conversion, self.samples[part], at, readouts)

    def network(self, candidate: Measurement) -> Conversion:
        """The network of a setting, the trained one where there is one."""
        if candidate.training is None:
            return self.convert(candidate.values)
        trained: Conversion = candidate.training.conversion
        return trained

    def of(self, conversion: Conversion, where: tuple[int, str], samples: Labelled) -> Measurement:
        """Measure a network in one number of steps, under one readout."""
        steps, name = where
        (point,) = self._points(conversion, samples, [steps], {name: self.readout(name)})
        return point

    def readout(self, name: str) -> EveryStep:
        """A readout from its name in a point."""
        return self._searched(tuple(READOUTS), _LONG)[name]

    def _searched(self, kinds: Sequence[str], steps: int) -> dict[str, EveryStep]:
        """The readouts of some kinds that are searched, by the names that points have for them."""
        return {
            name: readout
            for kind in kinds
            for name, readout in READOUTS[kind].searched(kind, steps, self.running.dt).items()
        }

    def _readouts(self, conversion: Conversion, at: Sequence[int]) -> dict[str, EveryStep]:
        wanted = [str(name) for name in choices_of(self.space, "readout")]
        if conversion.lowered.times is not None and "mean" in wanted:
            wanted = ["mean"]
        complete_readouts(conversion.lowered, wanted)
        found = self._searched(wanted, at[-1]) or self._searched(["mean"], at[-1])
        if at[-1] == 1:  # of a single step they are all the same
            return dict([next(iter(found.items()))])
        return found

    def _points(
        self,
        conversion: Conversion,
        samples: Labelled,
        at: Sequence[int],
        readouts: Mapping[str, EveryStep],
    ) -> list[Measurement]:
        begun = time.monotonic()
        found = run(conversion, samples.x, samples.y, at, list(readouts.values()), self.running)
        self.pace.add(len(samples) * at[-1], time.monotonic() - begun)
        return [
            self._point(found, samples, (t, network_steps(conversion.lowered, t)), name, readout)
            for t in at
            for name, readout in readouts.items()
            if (kind := kind_of(readout)) is None or kind.fits(t, self.running.dt)
        ]

    def _point(
        self,
        found: Outcome,
        samples: Labelled,
        lasts: tuple[int, int],
        name: str,
        readout: EveryStep,
    ) -> Measurement:
        steps, whole = lasts
        costs = found.costs[steps]
        paired = PairedLoss.of(samples.scores, found.scores[steps, readout])
        margins = found.margins.get((steps, readout))
        risk = paired.drop if margins is None else self.risk(samples, margins)
        cost = self._cost(costs, whole)
        more = whole if whole != steps else None
        return Measurement(steps, name, paired, cost, costs, risk, network_steps=more)

    def risk(self, samples: Labelled, margins: NDArray) -> float:
        """Mean rise of a soft count of errors: each is `1 / (1 + exp(margin / unit))`.

        It goes up where answers become less sure, before any of them is wrong, so that settings
        can be told apart by few samples. Outputs that are larger or smaller as a whole decide alike
        and risk nothing: margins are taken relative to their median.
        """
        own = np.zeros(1) if samples.margins is None else samples.margins
        before, now = (float(np.median(np.abs(m))) for m in (own, margins))
        unit = self.samples.unit * (now / before if before > 0 and now > 0 else 1.0)
        return float(np.mean(_soft(margins / unit) - _soft(own / self.samples.unit)))

    def _cost(self, costs: Mapping[str, float], steps: int) -> float:
        """The cost that is minimised; for latency the network's steps, then the spikes."""
        if self.minimise != "latency":
            return costs[self.minimise]
        spikes = costs["spikes"]
        return steps + spikes / (spikes + self.translation.allocation.neurons)


def _soft(leads: NDArray) -> NDArray:
    found: NDArray = 1.0 / (1.0 + np.exp(np.clip(leads, -50, 50)))
    return found
