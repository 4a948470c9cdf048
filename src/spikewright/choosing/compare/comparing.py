"""Candidates, calibrated on one half of the samples and compared with the source on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright.choosing.compare.candidates import Candidate
from spikewright.choosing.compare.loss import loss
from spikewright.choosing.correction import looks_at_data
from spikewright.conversion import Conversion
from spikewright.errors import SpikewrightError
from spikewright.measure import EveryStep
from spikewright.measure.readout import read_out
from spikewright.measure.truth import Output
from spikewright.running.converted import as_source

Batch = dict[str, NDArray]

FEW = 128
"""Samples that corrections are measured on, and candidates are first compared on."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A candidate under one readout, on `samples` samples that it was not calibrated on.

    `loss` is that of `choosing.loss`, summed over outputs; `disagreement` the share of samples
    whose answer is not the source's (None where outputs tell no classes apart), `spikes` a sample.
    Of a candidate that could not be converted or run `failed` says why, and its loss is infinite.
    """

    candidate: Candidate
    readout: EveryStep
    loss: float
    disagreement: float | None
    spikes: float
    samples: int
    failed: str = ""


class Comparison:
    """Samples in two halves, the source's answers on the second, and the candidates' outputs."""

    def __init__(self, base: Conversion, samples: Batch, steps: int, **run: Any) -> None:
        count = len(next(iter(samples.values())))
        if count < 2:
            raise refuse("x", f"it must be at least two samples, got {count}", "Give some hundred")
        self._base, self._steps = base, steps
        self._fitted = {name: array[::2] for name, array in samples.items()}
        self._compared = {name: array[1::2] for name, array in samples.items()}
        self._few = _first(self._fitted)
        self._run = {**run, "progress": False}
        self._numbers: dict[int, Mapping[str, Any]] = {}
        self._source = self._of_source()
        self._outputs = {
            name: Output(name, values.shape[1:], base.lowered.readouts.get(name))
            for name, values in self._source.items()
        }

    @property
    def few(self) -> Batch:
        """The first of the samples that candidates are calibrated on."""
        return self._few

    @property
    def many(self) -> bool:
        """Whether there are more samples to compare on than `FEW`."""
        return len(next(iter(self._compared.values()))) > FEW

    def _of_source(self) -> Batch:
        """Outputs of the source, before an activation on them."""
        raw = as_source(self._base).run(self._compared, steps=1, **self._run).raw
        return {name: values[:, 0] for name, values in raw.items()}

    def rows(self, candidate: Candidate, all_samples: bool = True) -> list[Compared]:
        """A candidate under each of its readouts, on all samples or on the first few.

        One row with the reason where it cannot be converted or run.
        """
        x = self._compared if all_samples else _first(self._compared)
        samples = len(next(iter(x.values())))
        try:
            run = self.conversion(candidate).run(x, steps=self._steps, **self._run)
        except SpikewrightError as error:
            readout, why = candidate.readouts[0], str(error)
            return [Compared(candidate, readout, np.inf, None, np.nan, samples, why)]
        spikes = float(sum(counts.mean() for counts in run.spike_counts().values()))
        return [
            Compared(candidate, readout, *self._loss(run.raw, readout), spikes, samples)
            for readout in candidate.readouts
        ]

    def conversion(self, candidate: Candidate) -> Conversion:
        """A candidate's network: rules and corrections are worked out the first time alone."""
        if id(candidate) in self._numbers:
            return self._base.again(**self._numbers[id(candidate)])
        changes = {"calibration": None, **candidate.arguments}
        if changes["calibration"] is None and looks_at_data({**self._base.arguments, **changes}):
            changes["calibration"] = self._fitted
        made = self._base.again(**changes)
        self._numbers[id(candidate)] = made.resolved
        return made

    def numbers(self, candidate: Candidate) -> Mapping[str, Any]:
        """The arguments that a candidate's rules and corrections came to."""
        return self._numbers[id(candidate)]

    def _loss(self, raw: Mapping[str, NDArray], readout: EveryStep) -> tuple[float, float | None]:
        found = {name: read_out(values, readout, self._run["dt"]) for name, values in raw.items()}
        source = {name: self._source[name][: len(values)] for name, values in found.items()}
        total = sum(loss(self._outputs[n], source[n], values) for n, values in found.items())
        different = [
            self._answers(name, source[name]) != self._answers(name, values)
            for name, values in found.items()
            if self._outputs[name].classes
        ]
        return float(total), float(np.mean(different)) if different else None

    def _answers(self, name: str, values: NDArray) -> NDArray:
        output = self._outputs[name]
        activated = values if output.activation is None else output.activation.evaluate(values)
        return output.decided(activated)


def _first(samples: Batch) -> Batch:
    return {name: array[:FEW] for name, array in samples.items()}


def by_candidate(rows: Sequence[Compared]) -> list[Compared]:
    """The first row of each candidate."""
    found: list[Compared] = []
    for row in rows:
        if not any(row.candidate is other.candidate for other in found):
            found.append(row)
    return found
