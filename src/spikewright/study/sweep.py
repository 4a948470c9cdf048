"""`spikewright.sweep`: the cost of each firing-rate scale in accuracy, latency and spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Unpack, cast

import numpy as np

from spikewright import executors
from spikewright._base.amounts import (
    format_difference,
    format_energy,
    loss_unit,
    number,
    steps_text,
)
from spikewright._base.arguments import is_number, is_whole
from spikewright._base.files import path_of
from spikewright._base.options import declared, options_of
from spikewright.choosing import ScaleRule
from spikewright.choosing.correction import looks_at_data
from spikewright.choosing.rules.rule import brief
from spikewright.conversion import Conversion, convert
from spikewright.conversion.options import CommonOptions
from spikewright.errors import SimulationError
from spikewright.evaluation.settings import checked
from spikewright.lower.coding import Coding
from spikewright.lower.trace import suppress_warnings, warn_and_log
from spikewright.measure import Evaluation, EveryStep
from spikewright.measure.energy import cost_table
from spikewright.network.neurons import NeuronType
from spikewright.records import Record, own_energies
from spikewright.report.sweeps import sweep_table, synapse_text
from spikewright.report.tables import value_format
from spikewright.running.inputs import refuse_sequences
from spikewright.study.default_row import reference_of, sentence_of, wants_reference
from spikewright.study.measuring import Measuring
from spikewright.study.options import SCALES, STEPS, SweepOptions
from spikewright.study.point import Minimise, OperatingPoint, OutputScore, Plain, StudySetting
from spikewright.study.programs import ModelReference
from spikewright.study.result import ONE_STEP, StudyResult, nearest

_PRICE = {"spikes": "in spikes", "energy": "in energy", "latency": "in steps"}


def found_one(point: OperatingPoint, within: float, minimise: Minimise) -> str:
    """The cheapest setting that is near enough: its score, its loss and its cost."""
    text = (
        f"The cheapest setting {_PRICE[minimise]} within {_distance(within, point)} of the source"
        f"{_of_source(point)} is {_point_text(point)}: {_worth(point)}{_lost(point)}, for "
        f"{_costs(point)} a sample."
    )
    return f"{text} {ONE_STEP}" if point.steps == 1 else text


def found_nothing(point: OperatingPoint, within: float) -> str:
    """The sentence that no setting is near enough, with the nearest one."""
    return (
        f"No setting here comes within {_distance(within, point)} of the source"
        f"{_of_source(point)}. Nearest is {_point_text(point)}, with {_worth(point)}. More steps "
        "or a larger scale may bring it nearer."
    )


def _point_text(point: OperatingPoint) -> str:
    """A setting, its steps and its readout."""
    steps = steps_text(point.steps, point.latency, f"{1000 * point.dt:g} ms")
    return f"{point.setting.name}, {steps}, {point.readout!s} readout"


def _distance(within: float, point: OperatingPoint) -> str:
    """The loss allowed, in the unit of losses."""
    if not point.scores[0].worth.fraction:
        return f"{within:g}"
    return f"{100 * within:g} point{'s' * (within != 0.01)}"


def _of_source(point: OperatingPoint) -> str:
    """The scores of the source, in brackets."""
    parts = [
        f"{_output(part)}{part.worth.name} {value_format(part.worth)(part.source.value)}"
        for part in point.scores
        if part.source is not None
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _worth(point: OperatingPoint) -> str:
    """The scores of the outputs, with their intervals."""
    return ", ".join(f"{_output(part)}{_value(part)}" for part in point.scores)


def _value(part: OutputScore) -> str:
    text_of = value_format(part.worth)
    text = f"{part.worth.name} {text_of(part.value.value)}"
    if part.value.interval is None:
        return text
    low, high = map(text_of, part.value.interval)
    return f"{text} ({low} to {high})"


def _lost(point: OperatingPoint) -> str:
    """The loss or gain of one output, on the same samples."""
    part, *others = point.scores
    if part.drop is None or others:
        return ""
    unit = loss_unit(part.worth.fraction)
    return f", {format_difference(part.drop.value, part.drop.interval, unit)}"


def _costs(point: OperatingPoint) -> str:
    parts = [] if point.spikes is None else [f"{number(point.spikes)} spikes"]
    parts += [format_energy(r.value, r.how["table"]) for r in own_energies(point.costs)]
    return " and ".join(parts) or "no spikes"


def _output(part: OutputScore) -> str:
    name = part.value.how.get("output")
    return "" if name is None else f"{name} "


def settings_of(
    scales: Any,
    synapse: Any,
    neurons: Any,
    codings: Any,
    common: Mapping[str, Any],
    readouts: Sequence[EveryStep],
) -> list[StudySetting]:
    """All combinations, scales in turn first; `common` are arguments that all of them share.

    Raises `SimulationError` where there is nothing of one.
    """
    choices = [
        _named("neurons", neurons, _neurons_text),
        _named("synapse", synapse, _text),
        _coded(codings, scales),
    ]
    found = []
    for (cells, type_), (filtered, tau), (scaled, (coding, scale)) in product(*choices):
        given = {"spiking": type_, "synapse": tau, "scale_firing_rates": scale}
        given |= {} if coding is None else {"coding": coding}
        how = {"scale": scaled, "synapse": filtered, "neurons": cells}
        arguments = {**common, **given}
        if not looks_at_data(arguments):
            arguments.pop("calibration", None)
        found.append(StudySetting(_name(how), arguments, readouts, how=how))
    return found


def _coded(codings: Any, scales: Any) -> list[tuple[Plain, Any]]:
    """Each code with its scales, and the text that tells both from the others.

    A code with a number of steps chooses its scales where none are given.
    """
    found: list[tuple[Plain, Any]] = []
    for text, coding in _named("coding", codings, _text):
        chooses = coding is not None and coding.steps is not None
        mine = None if chooses and scales is SCALES else scales
        for scaled, scale in _named("scales", mine, _text):
            name = scaled if not chooses else text if scale is None else f"{text}, scale {scaled}"
            found.append((name, (coding, scale)))
    return found


def _name(how: Mapping[str, Plain]) -> str:
    """A setting in words, such as `scale 5, synapse 5 ms`."""
    scale, synapse, neurons = (how[name] for name in ("scale", "synapse", "neurons"))
    parts = [f"scale {scale:g}" if isinstance(scale, float) else str(scale)]
    parts += [] if synapse is None else [f"synapse {synapse_text(synapse)}"]
    parts += [] if neurons == "default" else [f"neurons {neurons}"]
    return ", ".join(parts)


def _named(what: str, given: Any, text: Any) -> list[tuple[Plain, Any]]:
    """One value or several, each with the text that tells it from the others."""
    several = isinstance(given, list | tuple | range | np.ndarray)
    values = list(given) if several else [given]
    if not values:
        raise SimulationError(f"{what} holds nothing to try: give one value or several")
    found: list[tuple[Plain, Any]] = []
    for value in values:
        name = text(value)
        if is_number(value) and name in [known for known, _ in found]:
            continue
        names = [known for known, _ in found]
        number = sum(str(known).partition(" #")[0] == name for known in names)
        found.append((f"{name} #{number + 1}" if number else name, value))
    return found


def _text(value: Any) -> Plain:
    """A value as plain data: numbers as they are, rules and layers' values as one writes them."""
    if value is None or is_number(value):
        return None if value is None else float(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_part(item)}" for name, item in value.items()) + "}"
    return _part(value)


def _part(value: Any) -> str:
    if isinstance(value, ScaleRule):
        return str(value)
    if isinstance(value, NeuronType | Coding):
        return brief(value)
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.size} values"
    return f"{value:g}" if is_number(value) else str(value)


def _neurons_text(value: Any) -> str:
    """The value of `spiking=`, in words."""
    if isinstance(value, bool):
        return "default" if value else "rate"
    return str(_text(value))


_IN_COMMON = ("max_pool", *options_of(CommonOptions))
_OF_RUNS = ("dt", "seed", "engine", "precision", "batch_size", "threads", "encoder")
_EQUAL = 1e-12  # losses that differ by less are the same: means are rounded


@declared(SimulationError)
def sweep(model: Any, x: Any, y: Any = None, **options: Unpack[SweepOptions]) -> StudyResult:
    """Measure a model at every combination of firing-rate scales, synapses, neurons and codes.

    `model` is what `convert` takes, or a `Conversion` (a PyTorch module without `example_input` is
    traced with the first of `x`); `x`, `y` and `metric` are those of `Conversion.evaluate`, which
    measures each combination (batches are gone through once, and held). `scales`, `synapse` and
    `neurons` are one value or a list: what `convert` takes as `scale_firing_rates` (a number, a
    rule, `{layer: ...}`), as `synapse`, and as `spiking`. `steps` are one number or several, of
    `dt` seconds: the network runs for the most, and one run answers for all of them and for all
    `readouts`. `coding` is one code of values or a list: one with a number of steps, such as
    `sw.SignedDigits(4)`, runs for that many, whatever the others do, and chooses its scales unless
    some are given. `reference` adds what `convert(model, spiking=True, calibration=x, steps=8)`
    chooses, on `calibration`, else on at most 256 of `x`. Arguments that follow `metric` are those
    of `convert`, the same for all. Combinations that fail are found with their reason.

    The result names the cheapest setting whose outputs are at most `within` worse than the
    source's: points of accuracy as a fraction, or in the unit of the metric, of errors or of
    agreement. `minimise` names the cost: spikes, energy under `energy_table`, or latency, the
    steps.

    `checkpoint` is a folder of finished parts, from which a second call goes on, also with other
    combinations; `executor` and `address` are as for `evaluate`. Raises as `convert` and `evaluate`
    do for arguments that suit no combination, and `SimulationError` where all failed.
    """
    given_steps = options["steps"]
    at, within, minimise = _steps(given_steps), options["within"], options["minimise"]
    energy_table, synapse = options["energy_table"], options["synapse"]
    cost_table(energy_table)
    settings = checked(
        at[-1], at, options["readouts"], (), options["metric"],
        source=True, operations=True,
        **{name: options[name] for name in _OF_RUNS},  # type: ignore[literal-required]
    )  # fmt: skip
    common = {name: options[name] for name in _IN_COMMON}  # type: ignore[literal-required]
    given = {name: value for name, value in common.items() if value is not None}
    example, data = options["example_input"], options["calibration"]
    base, origin = model, ModelReference.of(model, example, x, calibration=data)
    if not isinstance(model, Conversion):
        with suppress_warnings():
            base = convert(model, example_input=origin.example, outputs=options["outputs"])
    axes = options["scales"], synapse, options["neurons"], options["coding"]
    wanted = settings_of(*axes, given, settings.readouts)
    added: list[StudySetting] = []
    if wants_reference(options):
        reference, origin = reference_of(given, settings.readouts, origin, x)
        added.append(reference)
    refuse_sequences(base.lowered.stepping, "sweep")
    if not base.populations():
        raise SimulationError(
            "no layer of the model has neurons, so that there is nothing to scale"
        )
    folder = None if options["checkpoint"] is None else path_of(options["checkpoint"])
    workers = executors.get(options["executor"], options["address"])
    measuring = Measuring(
        base, origin, settings, workers, energy_table, folder, own_steps=given_steps is STEPS
    )
    with suppress_warnings():
        points = measuring.all([*added, *wanted], x, y, options["progress"])
    if doubts := measuring.doubts:
        others = f" (so it is with {len(doubts) - 1} more settings)" if len(doubts) > 1 else ""
        warn_and_log(f"{doubts[0]}{others}")
    made = measuring.chosen
    chosen = [sentence_of(one, origin, made[one.name]) for one in added if one.name in made]
    return _result(points, float(within), minimise, energy_table, " ".join(chosen))


def _result(
    points: Sequence[OperatingPoint],
    within: float,
    minimise: Minimise,
    table: str,
    reference: str,
) -> StudyResult:
    """The result: the cheapest point that loses at most `within`, and the sentence about it."""
    measured = [point for point in points if not point.failed]
    best, closest = _cheapest(measured, within, minimise), nearest(measured, minimise)
    records = _records(points, best)
    settings = {point.setting: point.setting.how for point in points}
    at = sorted({point.steps for point in measured})
    facts = {**cast(Evaluation, closest.evaluation).settings, "at": at}
    return StudyResult(
        points=tuple(points),
        best=best,
        closest=closest,
        conclusion=found_nothing(closest, within) if best is None
        else found_one(best, within, minimise),
        table=sweep_table(records, at, "", settings.values(), table),
        records=records,
        minimised=minimise,
        limit=within,
        facts={**facts, "energy_table": table, "reference": reference},
    )  # fmt: skip


def _cheapest(
    points: Sequence[OperatingPoint], within: float, minimise: Minimise
) -> OperatingPoint | None:
    """The cheapest point that spikes and loses at most so much; None where there is none."""
    good = [p for p in points if p.spikes is not None and p.lost <= within + _EQUAL]
    return min(good, key=lambda point: point.price(minimise), default=None)


def _records(points: Sequence[OperatingPoint], best: OperatingPoint | None) -> tuple[Record, ...]:
    """Those of `Conversion.evaluate` under each setting, and the source's, once.

    The setting is in their `how` as "scale", "synapse" and "neurons", numbers or text; the score of
    the best point has "chosen". "network_steps" are those of the network, where they are more.
    """
    settings = {p.setting: p for p in points if p.evaluation is not None}
    chosen = [] if best is None else [score.value for score in best.scores]
    found: list[Record] = []
    for place, point in enumerate(settings.values()):
        mine = chosen if best is not None and point.setting is best.setting else []
        records = cast(Evaluation, point.evaluation).records
        source = [r for r in records if r.name.startswith("source ")]
        whole = {"network_steps": point.latency} if point.latency != point.steps else {}
        how = {**point.setting.how, **whole}
        found = [*source, *found] if place == 0 else found
        for record in records:
            if not record.name.startswith("source "):
                mark = {"chosen": True} if record in mine else {}
                found.append(replace(record, how={**record.how, **how, **mark}))
    return tuple(found)


def _steps(steps: Any) -> tuple[int, ...]:
    """Numbers of steps in order, each once."""
    several = list(steps) if isinstance(steps, list | tuple | range) else [steps]
    if not several or not all(is_whole(n) and n >= 1 for n in several):
        raise SimulationError(f"steps is a whole number from 1 or a list of them, got {steps!r}")
    return tuple(sorted({int(n) for n in several}))
