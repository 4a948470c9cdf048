"""Messages to a page: greeting, one sample, accuracy and cost on the data, and advice.

All numbers of the data are those of `spikewright.sweep` and of `Conversion.diagnose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import SPIKES, Unit, format_energy, loss_unit
from spikewright.choosing.rules import RULES
from spikewright.conversion import Conversion, Sample, watch
from spikewright.diagnosis.proposals import Proposal
from spikewright.errors import SpikewrightError
from spikewright.executors import Executor, Function
from spikewright.explorer.message import (
    MOST_STEPS,
    NEURONS,
    SCALES,
    STARTS,
    ExplorerSettings,
    changes_of,
    pack_message,
)
from spikewright.explorer.model_session import DROPPED, SHOWN, ModelSession
from spikewright.lower.trace import suppress_warnings
from spikewright.measure.readout import named
from spikewright.network.neurons.bipolar import MOST_DIGITS
from spikewright.records import select
from spikewright.running.own_steps import network_steps
from spikewright.study.programs import ProgramWriter
from spikewright.study.result import StudyResult
from spikewright.study.sweep import sweep

DT = 0.001  # seconds a step

ROWS = 40
"""Neurons of a layer in its raster, at most: the most active ones."""

_MAPS = 16  # feature maps of a layer, the most active ones
_SIDE = 32  # of a map, which is thinned out where it is larger
_OUTPUTS = 10
_MOST = 127  # spikes of a neuron in a step that a message can hold


def greeting(session: ModelSession) -> bytes:
    """The first message to a page: title, layers, choices, and samples to choose from."""
    header = {
        "kind": "facts",
        "title": session.title,
        "samples": len(session),
        "labels": [session.label(number) for number in range(min(SHOWN, len(session)))],
        "image": session.image,
        "drawable": session.drawable,
        "class_names": session.class_names,
        "dt": DT,
        "layers": [{"name": name} for name in session.base.populations()],
        "scales": SCALES,
        "most_steps": MOST_STEPS,
        "most_digits": MOST_DIGITS,
        "neurons": list(NEURONS),
        "starts": STARTS,
        "readouts": named(),
        "rules": sorted(RULES),
        "first": session.first.as_dict(),
    }
    return pack_message(header, {"thumbnails": session.thumbnails()})


@suppress_warnings()
def sample_answer(session: ModelSession, number: int, settings: ExplorerSettings) -> bytes:
    """The answer to request `number`, about one sample: see `message.pack_message`.

    Names of a layer's arrays begin with its place. Raises as `Conversion.replace` and `watch` do.
    """
    x = session.chosen(settings)
    conversion = session.converted(settings)
    steps, readout = settings.run
    found = watch(conversion, x, steps, DT, readout=readout)
    arrays: dict[str, NDArray] = {}
    layers = []
    for place, (name, counts) in enumerate(found.counts.items()):
        spikes = np.abs(counts).sum(axis=0)  # of each neuron, either sign
        parts = {**_raster(counts, spikes), **_maps(counts, spikes, session.channels(name))}
        arrays |= {f"{place} {what}": array for what, array in parts.items()}
        total = int(spikes.sum())
        rate = total / (spikes.size * steps * DT)
        layers.append({"name": name, "neurons": spikes.size, "spikes": total, "rate": rate})
    output, values = _output(found)
    header = {
        "kind": "sample",
        "number": number,
        "steps": network_steps(conversion.lowered, steps),
        "own_steps": steps,
        "silent": _silent(conversion),
        "layers": layers,
        "output": output,
        "label": session.label(settings.sample) if settings.drawn is None else None,
        "call": _call(session, settings, conversion),
        "command": session.command_of(settings),
    }
    return pack_message(header, arrays | values)


def _silent(conversion: Conversion) -> int | Mapping[str, int] | None:
    """The silent steps of digits, as they were found; None of firing rates."""
    found: Any = getattr(conversion.coding, "silent_steps", None)
    return found


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
    document = {
        "numbers": shown.tolist(),
        "answer": int(flat[-1].argmax()),
        "source": int(source.argmax()),
    }
    values = {"answers": flat[:, shown], "source": source[shown]}
    return document, {what: array.astype(np.float32) for what, array in values.items()}


def _call(session: ModelSession, settings: ExplorerSettings, conversion: Conversion) -> str:
    """Lines of Python that make this network and run it, with numbers in the place of rules."""
    numbers, writer = conversion.resolved, ProgramWriter()
    if session.again:
        dropped = [name for name in DROPPED if session.given.get(name) is not None]
        chosen = settings.arguments(session.base.populations())
        made = writer.replace(session.model, numbers, [*chosen, *dropped])
    else:
        made = writer.call(session.model, numbers)
    steps, readout = settings.run
    run = writer.run(steps, DT, readout)
    return "\n".join([*writer.imports(made), *session.lines, "", f"conversion = {made}", run])


CURVE = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Scales of the curve."""

_FIRST = 64  # samples, then four times as many, until all are measured
_GROWTH = 4

_CHANGE = Unit("%", 100.0, 1, above="off the source", below="closer to the source")
_PROPOSALS = 4  # that are shown, the best first


FIRST_ADVICE = 16
"""Samples that are diagnosed at first, so that advice comes within seconds."""

ADVICE = 128
"""Samples that are diagnosed in the end."""


class Cancelled(Exception):
    """The page asked for something else: its earlier request is cancelled."""


class CancellableExecutor(Executor):
    """Works in this process, and stops before the next task once nobody waits for it."""

    remote = False

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        for task in tasks:
            if self._stopped():
                raise Cancelled
            yield function(shared, task, None)


def data_messages(
    session: ModelSession, settings: ExplorerSettings, stopped: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Messages about the data: of its first samples, then of more, then of all of it.

    Raises `Cancelled` where `stopped` says so, and as `sweep` does.
    """
    for count in _counts(len(session)):
        found = _known(session, settings, count, stopped)
        yield {"kind": "measured", "samples": count, "of": len(session), **found}


def curve_messages(
    session: ModelSession, settings: ExplorerSettings, stopped: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """A message for each scale of the curve, one for all layers, all other settings the same.

    Digits have one scale, that of the least error. Raises as `data_messages` does.
    """
    for scale in CURVE if settings.digits is None else ():
        same = replace(settings, scale=scale, layers=(), rule=None)
        found = _known(session, same, len(session), stopped)
        yield {"kind": "curve", "scale": scale, **found}


def _counts(samples: int) -> list[int]:
    """Numbers of samples, growing, that end with all of them."""
    found, count = [], _FIRST
    while count * _GROWTH <= 2 * samples:
        found.append(count)
        count *= _GROWTH
    return [*found, samples]


def _known(
    session: ModelSession, settings: ExplorerSettings, count: int, stopped: Callable[[], bool]
) -> dict[str, Any]:
    """The numbers of the first `count` samples."""
    return session.result(
        settings, count, lambda: _numbers(_swept(session, settings, count, stopped))
    )


def _swept(
    session: ModelSession, settings: ExplorerSettings, count: int, stopped: Callable[[], bool]
) -> StudyResult:
    (x, y), chosen = session.part(count), session.arguments(settings)
    if settings.digits is not None:  # in numbers, so that they are chosen once
        made = session.converted(settings)
        numbers = {name: made.resolved[name] for name in ("coding", "scale_firing_rates")}
        chosen = {**chosen, **numbers, "calibration": None}
    steps, readout = settings.run
    return sweep(
        session.base,
        x,
        y,
        scales=chosen["scale_firing_rates"],
        coding=chosen["coding"],
        neurons=chosen["spiking"],
        synapse=chosen["synapse"],
        calibration=chosen.get("calibration"),
        initial_voltage=chosen["initial_voltage"],
        max_spikes_per_step=chosen["max_spikes_per_step"],
        steps=steps,
        readouts=[readout],
        executor=CancellableExecutor(stopped),
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


def advice_message(
    session: ModelSession,
    settings: ExplorerSettings,
    stopped: Callable[[], bool],
    most: int = ADVICE,
) -> Iterator[dict[str, Any]]:
    """One message: the layers that cost most, and changes that would win something back.

    The first `most` samples are diagnosed; `last` is True where no more will be.

    A network that has nothing to diagnose gives a sentence. Raises as `Conversion.diagnose` does.
    """
    if not stopped():
        count, last = min(most, len(session)), min(ADVICE, len(session))
        found = session.result(
            settings, ("advice", count), lambda: _diagnosed(session, settings, count)
        )
        yield {"kind": "advice", "last": count == last, **found}


def _diagnosed(session: ModelSession, settings: ExplorerSettings, samples: int) -> dict[str, Any]:
    x, y = session.part(samples)
    try:
        found = session.converted(settings).diagnose(x, y, settings.run[0], progress=False)
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
        "proposals": [
            _proposal_entry(settings, proposal, unit) for proposal in found.proposals[:_PROPOSALS]
        ],
    }


def _proposal_entry(settings: ExplorerSettings, proposal: Proposal, unit: Unit) -> dict[str, Any]:
    """A proposal with its gain and its price, in words, and as changes to the settings."""
    return {
        "text": proposal.text,
        "gain": unit.format(-proposal.predicted),
        "price": SPIKES.format(proposal.price),
        "changes": changes_of(proposal.arguments, proposal.steps, settings),
    }
