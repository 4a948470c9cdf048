"""The greeting of a page, and one sample: spikes, feature maps, and the output building up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.rules import RULES
from spikewright.conversion import Conversion, Sample, watch
from spikewright.explorer.message import pack
from spikewright.explorer.subject import DROPPED, SHOWN, Subject
from spikewright.explorer.wish import MOST_STEPS, NEURONS, SCALES, STARTS, Wish
from spikewright.lower.trace import silently
from spikewright.measure.readout import named
from spikewright.study.programs import ProgramWriter

DT = 0.001  # seconds a step

ROWS = 40
"""Neurons of a layer in its raster, at most: the most active ones."""

_MAPS = 16  # feature maps of a layer, the most active ones
_SIDE = 32  # of a map, which is thinned out where it is larger
_OUTPUTS = 10
_MOST = 127  # spikes of a neuron in a step that a message can say


def facts(subject: Subject) -> bytes:
    """The first message to a page: its title, its layers, the choices, samples to choose from."""
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


@silently()
def look(subject: Subject, number: int, wish: Wish) -> bytes:
    """The answer to request `number`, about one sample: see `message.pack`.

    Names of a layer's arrays begin with its place. Raises as `Conversion.again` and `watch` do.
    """
    x = subject.chosen(wish)
    conversion = subject.converted(wish)
    found = watch(conversion, x, wish.steps, DT, readout=wish.readout)
    arrays: dict[str, NDArray] = {}
    layers = []
    for place, (name, counts) in enumerate(found.counts.items()):
        spikes = np.abs(counts).sum(axis=0)  # of each neuron, either sign
        parts = {**_raster(counts, spikes), **_maps(counts, spikes, subject.channels(name))}
        arrays |= {f"{place} {what}": array for what, array in parts.items()}
        total = int(spikes.sum())
        rate = total / (counts.size * DT)
        layers.append({"name": name, "neurons": spikes.size, "spikes": total, "rate": rate})
    output, values = _output(found)
    header = {
        "kind": "sample",
        "number": number,
        "steps": wish.steps,
        "layers": layers,
        "output": output,
        "label": subject.label(wish.sample) if wish.drawn is None else None,
        "call": _call(subject, wish, conversion),
        "command": subject.command_of(wish),
    }
    return pack(header, arrays | values)


def _bytes(counts: NDArray) -> NDArray:
    return np.clip(counts, -_MOST, _MOST).astype(np.int8)


def _raster(counts: NDArray, spikes: NDArray) -> dict[str, NDArray]:
    """The most active neurons, most spikes first, `(steps, rows)`, and their numbers."""
    flat = counts.reshape(len(counts), -1)
    order = np.argsort(-spikes.ravel(), kind="stable")[:ROWS]
    return {"raster": _bytes(flat[:, order]), "numbers": order.astype(np.int32)}


def _maps(counts: NDArray, spikes: NDArray, axis: int | None) -> dict[str, NDArray]:
    """The most active feature maps, `(steps, maps, lines, columns)`, and their channels."""
    if counts.ndim != 4 or axis is None:
        return {}
    maps = np.moveaxis(counts, 1 + axis, 1)
    most = np.moveaxis(spikes, axis, 0).sum(axis=(1, 2))
    order = np.argsort(-most, kind="stable")[:_MAPS]
    lines, columns = (max(1, -(-side // _SIDE)) for side in maps.shape[2:])
    thin = maps[:, order, ::lines, ::columns]
    return {"maps": _bytes(thin), "channels": order.astype(np.int32)}


def _output(found: Sample) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """The largest values of the first output, `(steps, values)`, and the source's."""
    name, answers = next(iter(found.answers.items()))
    flat, source = answers.reshape(len(answers), -1), found.source[name].reshape(-1)
    largest = np.argsort(-np.maximum(source, flat[-1]), kind="stable")[:_OUTPUTS]
    shown = np.sort(largest)
    told = {
        "numbers": shown.tolist(),
        "answer": int(flat[-1].argmax()),
        "source": int(source.argmax()),
    }
    values = {"answers": flat[:, shown], "source": source[shown]}
    return told, {what: array.astype(np.float32) for what, array in values.items()}


def _call(subject: Subject, wish: Wish, conversion: Conversion) -> str:
    """Lines of Python that make this network and run it, with numbers in the place of rules."""
    numbers, writer = conversion.resolved, ProgramWriter()
    if subject.again:
        dropped = [name for name in DROPPED if subject.given.get(name) is not None]
        chosen = wish.arguments(subject.base.populations())
        made = writer.again(subject.model, numbers, [*chosen, *dropped])
    else:
        made = writer.call(subject.model, numbers)
    run = writer.run(wish.steps, DT, wish.readout)
    return "\n".join([*writer.imports(made), *subject.lines, "", f"conversion = {made}", run])
