"""`spikewright.best_rule`: rule, neurons, correction and readout for a number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._progress import progress_bar
from spikewright.calibrate.batches import gather
from spikewright.choosing.candidates import Candidate, corrected, first_candidates
from spikewright.choosing.loss import loss
from spikewright.conversion import Conversion, refuse
from spikewright.graph.layers import Activation
from spikewright.measure import EveryStep
from spikewright.measure.readout import read_out
from spikewright.measure.truth import Output
from spikewright.network.shapes import is_number, is_whole
from spikewright.pipeline import convert

__all__ = ["BestRule", "Candidate", "Compared", "best_rule"]

_CORRECTED = 2  # of the candidates so far, the best so many are tried with corrections
Batch = dict[str, NDArray]


@dataclass(frozen=True, eq=False)
class Compared:
    """A candidate under one readout, on samples that it was not calibrated on.

    `loss` is that of `choosing.loss`, summed over outputs; `disagreement` the share of samples
    whose answer is not the source's (None where outputs tell no classes apart), `spikes` a sample.
    """

    candidate: Candidate
    readout: EveryStep
    loss: float
    disagreement: float | None
    spikes: float


@dataclass(frozen=True, eq=False, repr=False)
class BestRule:
    """What was chosen: `best`, of all that was `compared` (the least loss first).

    `conversion` is the network, calibrated on all samples. `arguments` need no data: they are
    arguments of `sw.convert`, and "steps", "dt" and "readout".
    """

    best: Compared
    compared: tuple[Compared, ...]
    conversion: Conversion
    steps: int
    dt: float

    @property
    def readout(self) -> EveryStep:
        """How outputs are read."""
        return self.best.readout

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `sw.convert`, and "steps", "dt" and "readout"."""
        run = {"steps": self.steps, "dt": self.dt, "readout": self.readout}
        return {**self.conversion.resolved, **run}

    def __repr__(self) -> str:
        return f"<BestRule {self.best.candidate.name}, readout {self.readout}, {self.steps} steps>"

    def __str__(self) -> str:
        """One line a candidate, under its best readout, the chosen one first."""
        lines = ["loss       other answers  spikes    candidate"]
        for item in _by_candidate((self.best, *self.compared)):
            other = "-" if item.disagreement is None else f"{item.disagreement:.2%}"
            name = f"{item.candidate.name}, readout {item.readout}"
            lines.append(f"{item.loss:<10.4g} {other:>13}  {item.spikes:<8.4g}  {name}")
        return "\n".join(lines)


def best_rule(
    model: Any,
    x: Any,
    steps: int,
    dt: float = 0.001,
    *,
    max_spikes_per_step: int | None = 1,
    tolerance: float | None = None,
    candidates: Sequence[Candidate] | None = None,
    example_input: Any = None,
    engine: str = "auto",
    threads: int | None = None,
    progress: bool = True,
) -> BestRule:
    """Compare rules, neurons, corrections and readouts for `steps` steps of `dt` seconds.

    `model` is what `convert` takes, or a `Conversion`; `x` is calibration data, some hundred
    samples, as `convert` takes it. Labels are not needed: every candidate is calibrated on one half
    of the samples, and its outputs are compared with the source's on the other. The one with the
    least loss is chosen (`Compared` says of what), or with a `tolerance` the cheapest that gives
    another answer than the source on at most that share of samples; it is calibrated once more, on
    all samples.

    Without `candidates`, the rules of the field are tried with neurons that take spikes back and
    with ones that do not, at most `max_spikes_per_step` spikes a step (None: no cap), and the best
    of them with corrections. Raises as `convert` does, and `ConversionError` where no candidate can
    be converted.
    """
    _check(steps, dt, tolerance)
    base = model if isinstance(model, Conversion) else convert(model, example_input=example_input)
    comparison = _Comparison(base, gather(x, base.canonical), steps, dt, engine, threads)
    tried = candidates or first_candidates(steps, dt, max_spikes_per_step, _rectifies(base))
    with progress_bar(None, progress, "candidates") as advance:
        found = [row for item in tried for row in comparison.rows(item, advance)]
        if candidates is None:
            ranked = _by_candidate(sorted(found, key=lambda row: row.loss))[:_CORRECTED]
            more = [item for row in ranked for item in corrected(row.candidate, steps, dt)]
            found += [row for item in more for row in comparison.rows(item, advance)]
    found.sort(key=lambda row: row.loss)
    best = _chosen(found, tolerance)
    return BestRule(best, tuple(found), comparison.whole(best.candidate), steps, dt)


def _check(steps: int, dt: float, tolerance: float | None) -> None:
    if not (is_whole(steps) and steps >= 1):
        raise refuse("steps", f"it is a whole number from 1, got {steps!r}")
    if not (is_number(dt) and dt > 0):
        raise refuse("dt", f"it is seconds above 0, got {dt!r}")
    if tolerance is not None and not (is_number(tolerance) and 0 <= tolerance <= 1):
        raise refuse("tolerance", f"it is None or a share of samples, got {tolerance!r}")


def _rectifies(conversion: Conversion) -> bool:
    """Whether any layer with neurons is a ReLU."""
    layers = (conversion.canonical[name].layer for name in conversion.populations())
    return any(isinstance(layer, Activation) and layer.function == "relu" for layer in layers)


def _by_candidate(rows: Sequence[Compared]) -> list[Compared]:
    """The first row of each candidate."""
    found: list[Compared] = []
    for row in rows:
        if not any(row.candidate is other.candidate for other in found):
            found.append(row)
    return found


def _chosen(rows: Sequence[Compared], tolerance: float | None) -> Compared:
    """The least loss, or the cheapest within the tolerance where there is one."""
    if tolerance is not None:
        within = [r for r in rows if r.disagreement is not None and r.disagreement <= tolerance]
        if within:
            return min(within, key=lambda row: (row.spikes, row.loss))
    return rows[0]


class _Comparison:
    """Samples in two halves, and what the source says of the second."""

    def __init__(
        self, base: Conversion, samples: Batch, steps: int, dt: float, engine: str,
        threads: int | None,
    ) -> None:  # fmt: skip
        count = len(next(iter(samples.values())))
        if count < 2:
            raise refuse("x", f"it must be at least two samples, got {count}", "Give some hundred")
        self._base, self._all = base, samples
        self._fitted = {name: array[::2] for name, array in samples.items()}
        self._compared = {name: array[1::2] for name, array in samples.items()}
        self._run: dict[str, Any] = {
            "dt": dt,
            "engine": engine,
            "threads": threads,
            "progress": False,
        }
        self._steps = steps
        source = base.again(
            spiking=False, scale_firing_rates=1.0, synapse=None, initial_voltage="half",
            calibration=None, max_spikes_per_step=None, bias_correction=None,
        )  # fmt: skip
        raw = source.run(self._compared, steps=1, **self._run).raw
        self._source = {name: values[:, 0] for name, values in raw.items()}
        self._outputs = {
            name: Output(name, values.shape[1:], base.lowered.readouts.get(name))
            for name, values in self._source.items()
        }

    def rows(self, candidate: Candidate, advance: Any) -> list[Compared]:
        """A candidate calibrated on the first half, on the second, under each readout."""
        conversion = self._base.again(**candidate.arguments, **self._data(self._fitted, candidate))
        run = conversion.run(self._compared, steps=self._steps, **self._run)
        spikes = float(sum(counts.mean() for counts in run.spike_counts().values()))
        advance(1)
        return [
            Compared(candidate, readout, *self._loss(run.raw, readout), spikes)
            for readout in candidate.readouts
        ]

    def whole(self, candidate: Candidate) -> Conversion:
        """A candidate calibrated on all samples."""
        return self._base.again(**candidate.arguments, **self._data(self._all, candidate))

    @staticmethod
    def _data(samples: Batch, candidate: Candidate) -> dict[str, Any]:
        return {} if "calibration" in candidate.arguments else {"calibration": samples}

    def _loss(self, raw: Mapping[str, NDArray], readout: EveryStep) -> tuple[float, float | None]:
        found = {name: read_out(values, readout, self._run["dt"]) for name, values in raw.items()}
        total = sum(loss(self._outputs[n], self._source[n], v) for n, v in found.items())
        different = [
            self._answers(name, self._source[name]) != self._answers(name, values)
            for name, values in found.items()
            if self._outputs[name].classes
        ]
        return float(total), float(np.mean(different)) if different else None

    def _answers(self, name: str, values: NDArray) -> NDArray:
        output = self._outputs[name]
        activated = values if output.activation is None else output.activation.evaluate(values)
        return output.decided(activated)
