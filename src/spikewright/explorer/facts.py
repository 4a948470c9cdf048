"""The greeting of a page: its title, its layers, the choices, and samples to choose from."""

from __future__ import annotations

from spikewright.choosing.rules import RULES
from spikewright.explorer.frames import pack
from spikewright.explorer.subject import SHOWN, Subject
from spikewright.explorer.wish import MOST_STEPS, NEURONS, SCALES, STARTS
from spikewright.measure.readout import named


def facts(subject: Subject) -> bytes:
    """The first message to a page: see `frames.pack`."""
    header = {
        "kind": "facts",
        "title": subject.title,
        "samples": len(subject),
        "labels": [subject.label(number) for number in range(min(SHOWN, len(subject)))],
        "picture": subject.picture,
        "drawable": subject.picture is not None and subject.picture[2] == 1,
        "layers": [{"name": name} for name in subject.base.populations()],
        "scales": SCALES,
        "most_steps": MOST_STEPS,
        "neurons": list(NEURONS),
        "starts": STARTS,
        "readouts": named(),
        "rules": sorted(RULES),
        "first": subject.first.as_dict(),
    }
    return pack(header, {"thumbnails": subject.thumbnails()})
