"""The data under a wish: accuracy and cost on more and more samples, the curve of scales, advice.

All numbers are those of `spikewright.sweep` and of `Conversion.diagnose`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from spikewright._base.amounts import SPIKES, Unit, format_energy, loss_unit
from spikewright.diagnosis.proposals import Proposal
from spikewright.errors import SpikewrightError
from spikewright.executors import Executor, Function
from spikewright.explorer.subject import Subject
from spikewright.explorer.wish import Wish, changes_of
from spikewright.records import select
from spikewright.study.result import StudyResult
from spikewright.study.sweep import sweep

CURVE = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Scales of the curve."""

_FIRST = 64  # samples, then four times as many, until all are measured
_GROWTH = 4

_CHANGE = Unit("%", 100.0, 1, above="off the source", below="closer to the source")
_DIAGNOSED = 128  # samples that are diagnosed
_PROPOSALS = 4  # that are shown, the best first


class Stopped(Exception):
    """The page asked for something else."""


class Stopping(Executor):
    """Does work here, and stops before the next piece of it once nobody waits for it."""

    remote = False

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        for task in tasks:
            if self._stopped():
                raise Stopped
            yield function(shared, task, None)


def measured(subject: Subject, wish: Wish, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Messages about the data: of its first samples, then of more, then of all of it.

    Raises `Stopped` where `stopped` says so, and as `sweep` does.
    """
    for count in _counts(len(subject)):
        found = _known(subject, wish, count, stopped)
        yield {"kind": "measured", "samples": count, "of": len(subject), **found}


def curve(subject: Subject, wish: Wish, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """A message for each scale of the curve, one for all layers, all else as wished.

    Raises as `measured` does.
    """
    for scale in CURVE:
        same = replace(wish, scale=scale, layers=(), rule=None)
        found = _known(subject, same, len(subject), stopped)
        yield {"kind": "curve", "scale": scale, **found}


def _counts(samples: int) -> list[int]:
    """Numbers of samples, growing, that end with all of them."""
    found, count = [], _FIRST
    while count * _GROWTH <= 2 * samples:
        found.append(count)
        count *= _GROWTH
    return [*found, samples]


def _known(subject: Subject, wish: Wish, count: int, stopped: Callable[[], bool]) -> dict[str, Any]:
    """The numbers of the first `count` samples."""
    return subject.result(wish, count, lambda: _numbers(_swept(subject, wish, count, stopped)))


def _swept(subject: Subject, wish: Wish, count: int, stopped: Callable[[], bool]) -> StudyResult:
    (x, y), chosen = subject.part(count), subject.arguments(wish)
    return sweep(
        subject.base,
        x,
        y,
        scales=chosen["scale_firing_rates"],
        neurons=chosen["spiking"],
        synapse=chosen["synapse"],
        calibration=chosen.get("calibration"),
        initial_voltage=chosen["initial_voltage"],
        max_spikes_per_step=chosen["max_spikes_per_step"],
        steps=wish.steps,
        readouts=[wish.readout],
        executor=Stopping(stopped),
        progress=False,
    )


def _numbers(found: StudyResult) -> dict[str, Any]:
    """The score with its interval, that of the source, what it costs, and rates of layers in Hz."""
    (point,) = found.points
    joules, table = point.energy, found.facts["energy_table"]
    paid = {"energy": joules, "energy_text": "" if joules is None else format_energy(joules, table)}
    score, rates = point.scores[0], select(found.records, "firing rate")
    return {
        "measure": score.worth.name,
        "fraction": score.worth.fraction,
        "value": score.value.value,
        "interval": score.value.interval,
        "source": None if score.source is None else score.source.value,
        "spikes": point.spikes,
        **paid,
        "layers": [{"name": r.how["layer"], "rate": r.value} for r in rates if "layer" in r.how],
    }


def advised(subject: Subject, wish: Wish, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """One message: the layers that cost most, and changes that would win something back.

    A network that has nothing to diagnose gives a sentence. Raises as `Conversion.diagnose` does.
    """
    if not stopped():
        found = subject.result(wish, "advice", lambda: _diagnosed(subject, wish))
        yield {"kind": "advice", **found}


def _diagnosed(subject: Subject, wish: Wish) -> dict[str, Any]:
    x, y = subject.part(_DIAGNOSED)
    try:
        found = subject.converted(wish).diagnose(x, y, wish.steps, progress=False)
    except SpikewrightError as error:
        return {"text": str(error), "samples": 0, "layers": [], "proposals": []}
    unit = loss_unit(found.score.worth.fraction) if found.score is not None else _CHANGE
    return {
        "text": found.advice,
        "samples": found.samples,
        "layers": [
            {"name": layer.name, "lost": layer.loss.value, "text": unit.format(layer.loss.value)}
            for layer in found.layers
        ],
        "proposals": [_told(wish, proposal, unit) for proposal in found.proposals[:_PROPOSALS]],
    }


def _told(wish: Wish, proposal: Proposal, unit: Unit) -> dict[str, Any]:
    """A proposal with its gain and its price, in words, and as changes to a wish."""
    return {
        "text": proposal.text,
        "gain": unit.format(-proposal.predicted),
        "price": SPIKES.format(proposal.price),
        "changes": changes_of(proposal.arguments, proposal.steps, wish),
    }
