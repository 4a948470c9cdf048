"""Advice for a wish: where accuracy goes, and what to change, as wishes where these can say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spikewright._base.arguments import is_number
from spikewright.diagnosis.proposals import Proposal
from spikewright.errors import SpikewrightError
from spikewright.explorer.subject import Subject
from spikewright.explorer.wish import MOST_STEPS, NEURONS, Wish

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
        return {"text": str(error), "samples": 0, "points": False, "layers": [], "proposals": []}
    return {
        "text": found.advice,
        "samples": found.samples,
        "points": found.score is not None and found.score.worth.fraction,
        "layers": [{"name": layer.name, "lost": layer.loss.value} for layer in found.layers],
        "proposals": [_told(wish, proposal) for proposal in found.proposals[:_PROPOSALS]],
    }


def _told(wish: Wish, proposal: Proposal) -> dict[str, Any]:
    return {
        "text": proposal.text,
        "gain": proposal.predicted,
        "price": proposal.price,
        "changes": changes_of(proposal.arguments, proposal.steps, wish),
    }


def changes_of(arguments: Mapping[str, Any], steps: int, wish: Wish) -> dict[str, Any] | None:
    """The changes to a wish that mean these arguments and steps; None where no wish says them."""
    found: dict[str, Any] = {"steps": steps} if steps != wish.steps else {}
    if steps > MOST_STEPS:
        return None
    for name, value in arguments.items():
        said = _CHANGES[name](value) if name in _CHANGES else None
        if said is None:
            return None
        found |= said
    return found


def _scales(value: Any) -> dict[str, Any] | None:
    if is_number(value):
        return {"scale": float(value), "layers": {}, "rule": None}
    if isinstance(value, Mapping) and all(map(is_number, value.values())):
        return {"layers": {name: float(scale) for name, scale in value.items()}, "rule": None}
    return None


def _neurons(value: Any) -> dict[str, Any] | None:
    names = (name for name in NEURONS if Wish(neuron=name).spiking == value)
    return next(({"neuron": name} for name in names), None)


_CHANGES: Mapping[str, Callable[[Any], dict[str, Any] | None]] = {
    "scale_firing_rates": _scales,
    "spiking": _neurons,
    "max_spikes_per_step": lambda value: {"cap": value},
    "initial_voltage": lambda value: {"start": value} if isinstance(value, str) else None,
    "synapse": lambda value: {"synapse": value} if value is None or is_number(value) else None,
}
