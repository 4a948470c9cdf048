"""Warnings of runs and evaluations whose answers are not the source's.

A conversion is looked at once, and says one thing: where another warning was given, none is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import percent, steps_text
from spikewright._base.samples import held
from spikewright.advice import advise, is_command
from spikewright.choosing.scales import has_rule
from spikewright.graph import Graph, evaluate
from spikewright.lower.trace import warn, warnings_suppressed
from spikewright.measure import Evaluation, Run
from spikewright.records import Record, select
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import outputs_of

_POINTS = 0.03  # of accuracy
_DECISIONS = 0.1  # of samples
_VALUES = 0.05  # of the deviation of an output's values
_HALF = 0.5  # of a sigmoid
_FEWEST, _MOST = 10, 100  # samples: of fewer a share says little
_WORK = 2e9  # multiply-accumulates of the source, some seconds
_KEPT = 2_000_000  # values of the source's layers, 16 MB
_LOOKED = "answers"
"""The stage of a conversion that was looked at, whatever was found."""


def warn_of_answers(conversion: ConversionLike, x: Mapping[str, NDArray], run: Run) -> None:
    """Warn where answers of a run differ from the source's, on up to 100 of the samples.

    `x` are values that are held, by input. The source is asked once a conversion, in a first run of
    ten samples or more.
    """
    nodes = conversion.inputs
    there = len(next(iter(x.values())))
    if there < _FEWEST or run.sequence_step is not None or run.frames > 1:
        return  # before anything that costs: loops run few samples at a time
    if not _is_open(conversion):
        return
    given = {name: np.asarray(x[name]) for name in nodes}
    if any(held(given[name], node.shape_out) is None for name, node in nodes.items()):
        return  # it moves: the source has no answer to all of it
    count = _samples(conversion.graph, there)
    if count < _FEWEST:
        return
    conversion.trace.mark(_LOOKED)
    some = {
        name: given[name][:count].reshape(count, *node.shape_out) for name, node in nodes.items()
    }
    source, found = evaluate(conversion.graph, some), run.predict()
    answers = found if isinstance(found, dict) else dict.fromkeys(source, found)
    length = steps_text(run.steps, run.network_steps)
    for name, output in outputs_of(conversion.lowered).items():
        now, then = answers[name][:count], source[name].reshape(answers[name][:count].shape)
        off = _off(now, then)
        if off <= _VALUES:
            continue
        if not output.classes:
            _warn_of_loss(conversion, f"outputs are {off:.2g} deviations off in {length}")
            return
        classes = [v > _HALF if output.single else v.argmax(axis=-1) for v in (now, then)]
        differ = float(np.mean(classes[0] != classes[1]))
        if differ > _DECISIONS:
            _warn_of_loss(
                conversion, f"{percent(differ)} of answers are not the source's in {length}"
            )
            return


def warn_of_evaluation(conversion: ConversionLike, found: Evaluation) -> None:
    """Warn where an evaluation finds that more than 3 points are lost.

    Without labels, where more than 10 % of decisions differ from the source's, or values by .05 of
    their magnitude.
    """
    if not _is_open(conversion):
        return
    settings = found.settings
    readout = "mean" if "mean" in settings["readouts"] else str(settings["readouts"][0])
    steps = settings["steps"]
    length = steps_text(steps, settings.get("network_steps", steps))

    def worst(name: str, of: Callable[[list[float]], float]) -> float | None:
        records: list[Record] = select(found.records, name, steps=steps, readout=readout)
        return of([r.value for r in records if "threshold" not in r.how]) if records else None

    lost = worst("accuracy drop", max)
    same, off = worst("agreement", min), worst("relative difference", max)
    if lost is not None:
        if lost > _POINTS:
            _warn_of_loss(conversion, f"{100 * lost:.1f} points of accuracy are lost in {length}")
    elif off is not None and off > _VALUES:
        if same is None:
            _warn_of_loss(conversion, f"outputs are {percent(off)} off in {length}")
        elif 1 - same > _DECISIONS:
            _warn_of_loss(
                conversion, f"{percent(1 - same)} of answers are not the source's in {length}"
            )


def _is_open(conversion: ConversionLike) -> bool:
    """True for a spiking, inexact network that has not warned yet, where warnings are wanted."""
    if (
        warnings_suppressed()
        or conversion.trace.has_warned
        or conversion.trace.guarantee == "exact"
    ):
        return False
    return any(e.neuron_type.spiking for e in conversion.populations().values())


def _warn_of_loss(conversion: ConversionLike, lost: str) -> None:
    conversion.trace.mark(_LOOKED)
    given = conversion.arguments
    chosen = given.get("coding") is not None or has_rule(given.get("scale_firing_rates"))
    move = "Give more steps, or train it: conversion.train(x)"
    if not chosen and given.get("steps") is None:
        move = "Let samples choose: convert with calibration=x, steps=8"
        if is_command():
            move = advise("rates that nothing chose")
    warn(f"{lost}. {move}")


def _samples(graph: Graph, there: int) -> int:
    """The number of samples that the source is asked about."""
    work = sum(
        node.layer.multiply_accumulates(*(graph.shapes[name] for name in node.inputs))
        for node in graph
        if node.inputs
    )
    values = sum(prod(shape) for shape in graph.shapes.values())
    return int(min(there, _MOST, _WORK / max(1, work + values), _KEPT / max(1, values)))


def _off(found: NDArray, source: NDArray) -> float:
    """The root mean square distance in deviations of the source's values; 0 where they are one."""
    deviation = float(np.std(source))
    if deviation == 0:
        return 0.0
    return float(np.sqrt(np.mean(np.square(np.asarray(found, np.float64) - source)))) / deviation
