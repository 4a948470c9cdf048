"""Candidates, calibrated on one half of the samples and compared with the source on the other.

Their distance from the source's outputs is one number that few samples settle."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_array, refuse
from spikewright.choosing.calibration import count
from spikewright.choosing.correction import looks_at_data
from spikewright.conversion import Conversion
from spikewright.errors import SpikewrightError
from spikewright.measure import EveryStep
from spikewright.measure.intervals import wilson_interval
from spikewright.measure.readout import read_out
from spikewright.measure.targets import Output
from spikewright.records import Record, Worth
from spikewright.running.inputs import feeds_of
from spikewright.running.protocols import as_source
from spikewright.running.recording import real_outputs
from spikewright.study.point import OperatingPoint, OutputScore, StudySetting
from spikewright.study.programs import ModelReference


def different(output: Output, source: NDArray, found: NDArray) -> NDArray[np.bool_] | None:
    """True where the answer is not the source's, `(samples,)`; None without classes."""
    if not output.classes:
        return None
    answers, others = (output.decided(output.activated(values)) for values in (source, found))
    differ: NDArray[np.bool_] = answers != others
    return differ


def kept(
    output: Output, source: NDArray, found: NDArray, first: int = 0, real: NDArray | None = None
) -> NDArray:
    """The part of some outputs that `losses` needs: of classes all, of other values one a sample.

    They are of samples from number `first` on; `source` holds the source's outputs on all of them.
    Values are those before the activation that the output may have. They count where `real`, of all
    samples too, is true; None: all of them.
    """
    if _of_classes(output):
        return found
    squares = np.reshape((found - source[first : first + len(found)]) ** 2, (len(found), -1))
    if real is None:
        squares = np.mean(squares, axis=1)
    else:
        counts = real[first : first + len(found)].reshape(squares.shape)
        squares = (squares * counts).sum(axis=1) / np.maximum(1, counts.sum(axis=1))
        source = source[real]
    return squares / (float(np.var(source)) if source.size and np.ptp(source) > 0 else 1.0)


def losses(output: Output, source: NDArray, parts: NDArray) -> NDArray:
    """The loss of every sample, `(samples,)`, of what was kept.

    Of classes the squared difference from the source's over the variance of these, both less their
    mean over the classes of a sample, and with the common factor for what was found at which it is
    least: neither changes an answer. It is 0 where outputs are the source's in this sense, and 1
    where nothing follows from them. Measured on 128 samples, its choice among candidates loses less
    accuracy than that of other measures. Of other values the squared difference over the source's
    variance.
    """
    if not _of_classes(output):
        return parts
    own, other = (  # adding to all classes changes no answer
        values.astype(np.float64) - values.mean(axis=-1, keepdims=True)
        for values in (source[: len(parts)], parts)
    )
    size, spread = float(np.vdot(other, other)), float(np.mean(own**2))
    factor = max(0.0, float(np.vdot(own, other)) / size) if size > 0 else 0.0
    off: NDArray = np.mean((factor * other - own) ** 2, axis=-1)
    return off / spread if spread > 0 else off


def _of_classes(output: Output) -> bool:
    return output.classes > 2 or (output.classes == 2 and output.shape == (2,))


Batch = dict[str, NDArray]
LOSS = Worth("loss", rising=False, fraction=False)
"""The distance from the source's outputs: `losses` defines it."""

FEW = 128
"""Samples that corrections are measured on."""
_ONE_BY_ONE = 8  # runs that it costs to run layers one by one, measured on ResNet-20
FIRST = 32
"""Samples that all candidates are compared on; the better ones are on twice as many, and so on."""


@dataclass(eq=False)
class _Seen:
    """What was seen of a candidate, run by run: outputs as losses need them, other answers, spikes.

    `outputs` and `others` have a list for each readout and output.
    """

    outputs: dict[tuple[EveryStep, str], list[NDArray]] = field(
        default_factory=lambda: defaultdict(list)
    )
    others: dict[tuple[EveryStep, str], list[NDArray]] = field(
        default_factory=lambda: defaultdict(list)
    )
    spikes: NDArray = field(default_factory=lambda: np.zeros(0))
    neurons: int = 0
    failed: str = ""


class Comparison:
    """Samples in two halves, the source's answers on the second, and the candidates' outputs."""

    def __init__(
        self, base: Conversion, origin: ModelReference, samples: Batch, steps: int, **run: Any
    ) -> None:
        if count(samples) < 2:
            reason = f"it must be at least two samples, got {count(samples)}"
            raise refuse("x", reason, "Give some hundred")
        self._base, self.steps, self.dt = base, steps, float(run["dt"])
        self.fitted = {name: array[::2] for name, array in samples.items()}
        self._compared = {name: array[1::2] for name, array in samples.items()}
        self.few = _part(self.fitted, slice(FEW))
        """The first of the samples that candidates are calibrated on."""
        self.origin = replace(origin, data=self._data(origin))
        """The model as code names it, and the samples that candidates are calibrated on."""
        self._run = {**run, "progress": False}
        self._numbers: dict[StudySetting, Mapping[str, Any]] = {}
        self._seen: dict[StudySetting, _Seen] = {}
        raw = as_source(base).run(self._compared, steps=1, **self._run).raw
        self._source = {name: values[:, 0] for name, values in raw.items()}
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
        few = fitted if count(self.few) == count(self.fitted) else f"{fitted}[:{FEW}]"
        return (None, fitted), (self.fitted, fitted), (self.few, few)

    @property
    def tells_classes(self) -> bool:
        """True where any output does, so that answers can differ."""
        return any(output.classes for output in self._outputs.values())

    @property
    def samples(self) -> int:
        """Samples to compare on."""
        return count(self._compared)

    @property
    def stages(self) -> list[int]:
        """The numbers of samples to compare on, one after the other; all of them are the last."""
        found = [FIRST]
        while 2 * found[-1] < self.samples:
            found.append(2 * found[-1])
        return [n for n in found if n < self.samples] + [self.samples]

    def seconds_to_make(self, candidate: StudySetting) -> float:
        """About how long it takes to make a candidate's network, at most.

        Where it is corrected every layer runs the network again, or layers run one by one.
        """
        if candidate in self._numbers or not looks_at_data(candidate.arguments):
            return 0.0
        samples = candidate.arguments.get("calibration") or self.fitted
        runs = min(len(self._base.populations()), _ONE_BY_ONE)
        return self._pace * count(samples) * runs

    @property
    def seconds_to_run(self) -> float:
        """About how long all samples take."""
        return self._pace * self.samples

    def rows(self, candidate: StudySetting, most: int | None = None) -> list[OperatingPoint]:
        """A candidate under each of its readouts, on all samples or on the first `most`.

        One point with the reason where it cannot be converted or run. Samples that it was compared
        on before are not run again.
        """
        most = self.samples if most is None else most
        seen = self._seen.setdefault(candidate, _Seen())
        if len(seen.spikes) < most and not seen.failed:
            try:
                self._see(candidate, seen, slice(len(seen.spikes), most))
            except SpikewrightError as error:
                seen.failed = str(error)
        if seen.failed:
            return [self.point(candidate, failed=seen.failed)]
        return [
            self._row(candidate, seen, readout) for readout in dict.fromkeys(candidate.readouts)
        ]

    def point(self, candidate: StudySetting, **measured: Any) -> OperatingPoint:
        """A point of a candidate; under its first readout where no other is given."""
        place = {"steps": self.steps, "dt": self.dt, "readout": candidate.readouts[0]}
        make = partial(self.conversion, candidate)
        rest = {"on": "compared", "make": make, "origin": self.origin}
        return OperatingPoint(setting=candidate, **{**place, **rest, **measured})

    def _row(self, candidate: StudySetting, seen: _Seen, readout: EveryStep) -> OperatingPoint:
        """A candidate under one readout, on the samples that it was run on."""
        found = [
            losses(output, self._source[name], np.concatenate(seen.outputs[readout, name]))
            for name, output in self._outputs.items()
        ]
        others = [seen.others[readout, name] for name, o in self._outputs.items() if o.classes]
        how, n = {"readout": str(readout), "steps": self.steps}, len(seen.spikes)
        costs = [
            Record("spikes per sample", float(seen.spikes.mean()), "spikes", n, None, how),
            Record("neurons", seen.neurons, "neurons", n, None, how),
        ]
        shares = np.mean([np.concatenate(parts) for parts in others], axis=0) if others else None
        if shares is not None:
            share = float(shares.mean())
            interval = wilson_interval(share * n, n)
            costs.append(Record("disagreement", share, "fraction", n, interval, how))
        total = np.sum(found, axis=0)
        loss = Record("loss", float(total.mean()), "ratio", n, None, how)
        return self.point(
            candidate,
            readout=readout,
            scores=(OutputScore(LOSS, loss),),
            costs=tuple(costs),
            losses=total,
            different=shares,
        )

    def _see(self, candidate: StudySetting, seen: _Seen, part: slice) -> None:
        """Run a candidate on more samples."""
        conversion = self.conversion(candidate)
        begun = time.monotonic()
        run = conversion.run(_part(self._compared, part), steps=self.steps, **self._run)
        self._pace = (time.monotonic() - begun) / (part.stop - part.start)
        seen.neurons = conversion.network.n_neurons
        spikes = sum(run.spike_counts().values(), np.zeros(part.stop - part.start))
        seen.spikes = np.concatenate([seen.spikes, spikes])
        for readout in candidate.readouts:
            for name, values in run.raw.items():
                output, source = self._outputs[name], self._source[name]
                found = read_out(values, readout, self.dt)
                of_part = kept(output, source, found, part.start, self._real.get(name))
                seen.outputs[readout, name].append(of_part)
                if (others := different(output, source[part], found)) is not None:
                    seen.others[readout, name].append(others)

    def conversion(self, candidate: StudySetting) -> Conversion:
        """A candidate's network: rules and corrections are worked out the first time alone."""
        numbers = self._numbers.get(candidate)
        if numbers is not None:
            return self._base.replace(**numbers)
        changes = {"calibration": None, **candidate.arguments}
        if changes["calibration"] is None and looks_at_data({**self._base.arguments, **changes}):
            changes["calibration"] = self.fitted
        made = self._base.replace(**changes)
        self._numbers[candidate] = made.resolved
        return made

    def numbers(self, candidate: StudySetting) -> Mapping[str, Any]:
        """The arguments that a candidate's rules and corrections came to."""
        if candidate not in self._numbers:
            self.conversion(candidate)
        return self._numbers[candidate]


def _part(samples: Batch, part: slice) -> Batch:
    return {name: array[part] for name, array in samples.items()}


def by_candidate(rows: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """The first row of each candidate."""
    found: dict[StudySetting, OperatingPoint] = {}
    for row in rows:
        found.setdefault(row.setting, row)
    return list(found.values())
