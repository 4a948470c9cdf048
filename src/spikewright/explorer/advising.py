"""Advice for a wish: the layers that cost most, and changes, as wishes where these can say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from spikewright._base.amounts import SPIKES, Unit, loss_unit
from spikewright.diagnosis.proposals import Proposal
from spikewright.errors import SpikewrightError
from spikewright.explorer.changes import changes_of
from spikewright.explorer.subject import Subject
from spikewright.explorer.wish import Wish

_CHANGE = Unit("%", 100.0, 1, above="off the source", below="closer to the source")
_SAMPLES = 128  # that are diagnosed
_PROPOSALS = 4  # that are shown, the best first


def advised(subject: Subject, wish: Wish, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """One message: the layers that cost most, and changes that would win something back.

    A network that has nothing to diagnose gives a sentence. Raises as `Conversion.diagnose` does.
    """
    if stopped():
        return
    yield {"kind": "advice", **subject.result(wish, "advice", lambda: _diagnosed(subject, wish))}


def _diagnosed(subject: Subject, wish: Wish) -> dict[str, Any]:
    x, y = subject.part(_SAMPLES)
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
    """A proposal with its gain and its price, in words."""
    return {
        "text": proposal.text,
        "gain": unit.format(-proposal.predicted),
        "price": SPIKES.format(proposal.price),
        "changes": changes_of(proposal.arguments, proposal.steps, wish),
    }
