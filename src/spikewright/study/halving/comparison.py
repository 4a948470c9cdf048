"""Candidates, calibrated on one half of the samples and compared with the source on the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright._base.arrays import is_array
from spikewright.choosing.correction import looks_at_data
from spikewright.conversion import Conversion
from spikewright.errors import SpikewrightError
from spikewright.measure import EveryStep
from spikewright.measure.intervals import wilson_interval
from spikewright.measure.readout import read_out
from spikewright.measure.truth import Output
from spikewright.records import Record, Worth
from spikewright.running.converted import as_source
from spikewright.running.encoding import feeds_of
from spikewright.running.padding import real_outputs
from spikewright.study.halving.loss import Distance
from spikewright.study.point import OperatingPoint, OutputScore
from spikewright.study.programs import ModelReference
from spikewright.study.setting import StudySetting

Batch = dict[str, NDArray]
LOSS = Worth("loss", rising=False, fraction=False)
"""The distance from the source's outputs: `halving.loss` defines it."""

FEW = 128
"""Samples that corrections are measured on."""
_ONE_BY_ONE = 8  # runs that it costs to run layers one by one, measured on ResNet-20
FIRST = 32
"""Samples that all candidates are compared on; the better ones are on twice as many, and so on."""


@dataclass(eq=False)
class _Seen:
    """The measurements of a candidate: distances by readout, and spikes of each sample."""

    distances: dict[EveryStep, list[Distance]]
    spikes: NDArray
    neurons: int = 0
    failed: str = ""


class Comparison:
    """Samples in two halves, the source's answers on the second, and the candidates' outputs."""

    def __init__(
        self, base: Conversion, origin: ModelReference, samples: Batch, steps: int, **run: Any
    ) -> None:
        count = _count(samples)
        if count < 2:
            raise refuse("x", f"it must be at least two samples, got {count}", "Give some hundred")
        self._base, self._steps = base, steps
        self._fitted = {name: array[::2] for name, array in samples.items()}
        self._compared = {name: array[1::2] for name, array in samples.items()}
        self.few = _part(self._fitted, slice(FEW))
        """The first of the samples that candidates are calibrated on."""
        self.origin = replace(origin, data=self._data(origin))
        """The model as code names it, and the samples that candidates are calibrated on."""
        self._run = {**run, "progress": False}
        self._numbers: dict[int, Mapping[str, Any]] = {}
        self._seen: dict[int, _Seen] = {}
        self._source = self._of_source()
        fed = feeds_of(self._compared, base.inputs, None, steps, 0.001, 0)
        self._real = real_outputs(base.lowered, fed)
        self._outputs = {
            name: Output(name, values.shape[1:], base.lowered.readouts.get(name))
            for name, values in self._source.items()
        }
        self._pace = 0.0

    def _data(self, origin: ModelReference) -> tuple[tuple[Any, str], ...]:
        """The samples that rules and corrections look at, as code; none of several inputs."""
        if not any(is_array(known) and name == "x" for known, name in origin.data):
            return ()
        fitted = "x[::2]"
        few = fitted if _count(self.few) == _count(self._fitted) else f"{fitted}[:{FEW}]"
        return (None, fitted), (self._fitted, fitted), (self.few, few)

    @property
    def tells_classes(self) -> bool:
        """True where any output does, so that answers can differ."""
        return any(output.classes for output in self._outputs.values())

    @property
    def samples(self) -> int:
        """Samples to compare on."""
        return _count(self._compared)

    @property
    def stages(self) -> list[int]:
        """The numbers of samples to compare on, one after the other; all of them are the last."""
        found = [FIRST]
        while 2 * found[-1] < self.samples:
            found.append(2 * found[-1])
        return [n for n in found if n < self.samples] + [self.samples]

    @property
    def fitted(self) -> Batch:
        """The samples that candidates are calibrated on."""
        return self._fitted

    def seconds_to_make(self, candidate: StudySetting) -> float:
        """About how long it takes to make a candidate's network, at most.

        Where it is corrected every layer runs the network again, or layers run one by one.
        """
        if id(candidate) in self._numbers or not looks_at_data(candidate.arguments):
            return 0.0
        samples = candidate.arguments.get("calibration") or self._fitted
        runs = min(len(self._base.populations()), _ONE_BY_ONE)
        return self._pace * _count(samples) * runs

    @property
    def seconds_to_run(self) -> float:
        """About how long all samples take."""
        return self._pace * self.samples

    def _of_source(self) -> Batch:
        """Outputs of the source, before an activation on them."""
        raw = as_source(self._base).run(self._compared, steps=1, **self._run).raw
        return {name: values[:, 0] for name, values in raw.items()}

    def rows(self, candidate: StudySetting, count: int | None = None) -> list[OperatingPoint]:
        """A candidate under each of its readouts, on all samples or on the first `count`.

        One point with the reason where it cannot be converted or run. Samples that it was compared
        on before are not run again.
        """
        count = self.samples if count is None else count
        seen = self._seen.setdefault(id(candidate), _Seen({}, np.zeros(0)))
        if len(seen.spikes) < count and not seen.failed:
            try:
                self._see(candidate, seen, slice(len(seen.spikes), count))
            except SpikewrightError as error:
                seen.failed = str(error)
        if seen.failed:
            return [self.point(candidate, failed=seen.failed)]
        return [self._row(candidate, seen, *item) for item in seen.distances.items()]

    def point(self, candidate: StudySetting, **measured: Any) -> OperatingPoint:
        """A point of a candidate; under its first readout where no other is given."""
        place = {"steps": self._steps, "dt": self._run["dt"], "readout": candidate.readouts[0]}
        make = partial(self.conversion, candidate)
        rest = {"on": "compared", "make": make, "origin": self.origin}
        return OperatingPoint(setting=candidate, **{**place, **rest, **measured})

    def _row(
        self,
        candidate: StudySetting,
        seen: _Seen,
        readout: EveryStep,
        distances: Sequence[Distance],
    ) -> OperatingPoint:
        """A candidate under one readout, on the samples that it was run on."""
        losses = np.sum([distance.losses for distance in distances], axis=0)
        different = [d.different for d in distances if d.different is not None]
        how, n = {"readout": str(readout), "steps": self._steps}, len(losses)
        costs = [
            Record("spikes per sample", float(seen.spikes.mean()), "spikes", n, None, how),
            Record("neurons", seen.neurons, "neurons", n, None, how),
        ]
        shares = np.mean(different, axis=0) if different else None
        if shares is not None:
            share = float(shares.mean())
            costs.append(
                Record("disagreement", share, "fraction", n, wilson_interval(share * n, n), how)
            )
        loss = Record("loss", float(losses.mean()), "ratio", n, None, how)
        return self.point(
            candidate,
            readout=readout,
            scores=(OutputScore(LOSS, loss),),
            costs=tuple(costs),
            losses=losses,
            different=shares,
        )

    def _see(self, candidate: StudySetting, seen: _Seen, part: slice) -> None:
        """Run a candidate on more samples."""
        conversion = self.conversion(candidate)
        begun = time.monotonic()
        run = conversion.run(_part(self._compared, part), steps=self._steps, **self._run)
        self._pace = (time.monotonic() - begun) / (part.stop - part.start)
        seen.neurons = conversion.network.n_neurons
        spikes = sum(run.spike_counts().values(), np.zeros(part.stop - part.start))
        seen.spikes = np.concatenate([seen.spikes, spikes])
        for readout in candidate.readouts:
            more = [
                Distance.of(
                    self._outputs[name],
                    self._source[name],
                    read_out(values, readout, self._run["dt"]),
                    part.start,
                    self._real.get(name),
                )
                for name, values in run.raw.items()
            ]
            known = seen.distances.get(readout)
            joined = more if known is None else [a + b for a, b in zip(known, more, strict=True)]
            seen.distances[readout] = joined

    def conversion(self, candidate: StudySetting) -> Conversion:
        """A candidate's network: rules and corrections are worked out the first time alone."""
        if id(candidate) in self._numbers:
            return self._base.again(**self._numbers[id(candidate)])
        changes = {"calibration": None, **candidate.arguments}
        if changes["calibration"] is None and looks_at_data({**self._base.arguments, **changes}):
            changes["calibration"] = self._fitted
        made = self._base.again(**changes)
        self._numbers[id(candidate)] = made.resolved
        return made

    def numbers(self, candidate: StudySetting) -> Mapping[str, Any]:
        """The arguments that a candidate's rules and corrections came to."""
        if id(candidate) not in self._numbers:
            self.conversion(candidate)
        return self._numbers[id(candidate)]


def _part(samples: Batch, part: slice) -> Batch:
    return {name: array[part] for name, array in samples.items()}


def _count(samples: Batch) -> int:
    return len(next(iter(samples.values())))


def by_candidate(rows: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """The first row of each candidate."""
    found: list[OperatingPoint] = []
    for row in rows:
        if not any(row.setting is other.setting for other in found):
            found.append(row)
    return found
