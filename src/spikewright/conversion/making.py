"""Makes conversions of models that have been read: all of the line but the reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from spikewright._base.arguments import is_whole, refuse
from spikewright.choosing import Statistics
from spikewright.choosing.budgets import with_budgets_kept
from spikewright.choosing.calibration import Calibration, is_statistics
from spikewright.choosing.correction import (
    BiasCorrection,
    VoltageCorrection,
    add_bias,
    correct_bias,
    correct_voltages,
)
from spikewright.choosing.meter import Samples
from spikewright.choosing.scales import (
    Chosen,
    choose_scales,
    has_budget,
    has_rule,
    need_data,
)
from spikewright.conversion.conversion import Conversion
from spikewright.conversion.storage import Parts
from spikewright.errors import ConversionError, listed
from spikewright.frontends import Source, read
from spikewright.frontends.outputs import wanted_outputs
from spikewright.frontends.source import Note
from spikewright.graph import Graph
from spikewright.graph.layers import Layer, Recurrence
from spikewright.lower import (
    Lowered,
    NeuronChoice,
    Options,
    Spiking,
    Stepping,
    lower,
    without_form,
)
from spikewright.lower.populations import Roles
from spikewright.lower.trace import Trace
from spikewright.passes.sequences import one_step
from spikewright.passes.standard import MAX_POOL_FORMS, STANDARD, MaxPoolForm
from spikewright.passes.standard import run as run_passes

_READ = "read"  # the stage whose entries say what reading left out


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise `ConversionError` for arguments that no model could be converted with."""
    _check(**arguments)
    _check_corrections(arguments)
    _check_corrections_of_sequences(arguments)


def convert_source(
    source: Source,
    arguments: Mapping[str, Any],
    reading: Callable[..., Source] | None = None,
    calibration: Calibration | None = None,
) -> Conversion:
    """Convert a model that has been read; `arguments` are all of `convert` but its input.

    `reading` reads it in another form of its recurrent layers, or for other outputs; `calibration`
    holds the statistics of its calibration data so far.
    """
    check_arguments(arguments)
    calibration = calibration or Calibration()
    trace = Trace()
    _note_what_is_left_out(source, trace)
    step = arguments.get("sequence_step")
    stepping, graph = None, source.graph
    if step is not None:
        _refuse_without_form(graph, but=Recurrence)
        found = one_step(graph)
        graph = found.graph
        stepping = Stepping(found.carried, found.inputs, found.outputs, found.values, int(step))
    canonical = canonicalise(graph, trace, arguments["max_pool"])
    options = replace(_options(**arguments), stepping=stepping)
    _check_data(arguments, calibration, canonical, stepping)
    known = partial(_statistics, arguments, calibration, canonical, stepping)
    chosen = choose_scales(options, canonical, graph, known)
    again = partial(_again, source, form_of(arguments), reading, calibration)

    def made(chosen: Chosen) -> Conversion:
        lowered = lower(canonical, replace(options, scale_firing_rates=chosen.scales))
        return Conversion(lowered, source.graph, canonical, Trace(), source, arguments, again)

    correct = partial(_correct, calibration=calibration) if _changes(arguments) else None
    measured_on = _samples_of_budgets(arguments, calibration, canonical, stepping, chosen)
    if measured_on is not None:
        conversion, chosen, corrected = with_budgets_kept(chosen, made, measured_on, correct)
    else:
        conversion = made(chosen)
        corrected = {} if correct is None else correct(conversion)
    chosen.tell(trace)
    _tell(trace, conversion.lowered)
    conversion.trace = trace.followed_by(conversion.trace)
    conversion.resolved = {
        **arguments,
        "scale_firing_rates": chosen.scales,
        **corrected,
        "calibration": None,
    }
    return conversion


def _samples_of_budgets(
    arguments: Mapping[str, Any],
    calibration: Calibration,
    graph: Graph,
    stepping: Stepping | None,
    chosen: Chosen,
) -> Samples | None:
    """The samples that budgets are measured on; None without budgets, or without samples to run."""
    data = arguments["calibration"]
    if not chosen.budgets or arguments["spiking"] is False:
        return None
    batches = calibration.some(data, graph, stepping)
    return Samples(batches, is_statistics(data)) if batches else None


def _tell(trace: Trace, lowered: Lowered) -> None:
    """Trace the form of each layer; warn where neurons do not compute what they stand for."""
    doubts: dict[str, list[str]] = {}
    for note in lowered.notes:
        trace.add("lower", note.layer, note.text, note.status)
        if note.doubt:
            doubts.setdefault(note.doubt, []).append(note.layer)
    if doubts:
        sentences = [f"{doubt} ({listed(layers)})" for doubt, layers in doubts.items()]
        trace.say("lower", f"the network does not tend to its source: {'; '.join(sentences)}")


def _note_what_is_left_out(source: Source, trace: Trace) -> None:
    """An entry for each layer of which reading left something out, and one sentence for all."""
    for note in source.notes:
        trace.add(_READ, note.layer, note.text, "approximated")
    if source.notes:
        first, layers = source.notes[0], {note.layer for note in source.notes}
        others = f", and so it is with {len(layers) - 1} more layers" if len(layers) > 1 else ""
        trace.say(
            _READ, f"{first.layer}: {first.text}{others}. print(conversion.trace) lists them."
        )


def _again(
    source: Source,
    form: Mapping[str, Any],
    reading: Callable[..., Source] | None,
    calibration: Calibration,
    arguments: Mapping[str, Any],
) -> Conversion:
    """Convert the model that was read in this form once more: read it in another if need be."""
    wanted = form_of(arguments)
    if wanted != form:
        if reading is None:
            reason = "the model was read for another form of its recurrent layers or outputs"
            raise refuse("again", reason, "Convert the model")
        source = reading(**wanted)
        calibration = Calibration()
    return convert_source(source, arguments, reading, calibration)


def saved(parts: Parts) -> Conversion:
    """The conversion that a file holds; its source is the graph that was read."""
    arguments, again = parts.arguments, None
    notes = tuple(Note(entry.layer, entry.text) for entry in parts.trace if entry.stage == _READ)
    source = replace(read(parts.graph), notes=notes)
    if arguments:
        form = form_of(arguments)
        again = partial(_again, source, form, partial(_read_saved, source, form), Calibration())
    made = Conversion(*parts[:-1], source, arguments, again)
    made.resolved = arguments
    return made


def _read_saved(source: Source, form: Mapping[str, Any], **wanted: Any) -> Source:
    """The source of a file in another form than the model was read in.

    Raises `ConversionError` where that takes the model, and `ReadError` for unknown outputs.
    """
    if wanted["keep_recurrence"] != form["keep_recurrence"]:
        reason = "the file holds the recurrent layers in the other form"
        raise refuse("sequence_step", reason, "Convert the model")
    if wanted["outputs"] == form["outputs"]:
        return source  # it is read, whatever would become of what cannot be
    if wanted["outputs"] is None:
        raise refuse("outputs", "the file holds none but those that were kept", "Convert the model")
    return replace(read(source.graph, outputs=wanted["outputs"]), notes=source.notes)


def form_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `read` that these arguments of `convert` imply."""
    return {
        "keep_recurrence": arguments.get("sequence_step") is not None,
        "outputs": wanted_outputs(arguments.get("outputs")),
        "fallback": arguments.get("fallback"),
    }


def _check_data(
    arguments: Mapping[str, Any],
    calibration: Calibration,
    graph: Graph,
    stepping: Stepping | None,
) -> None:
    """Raise where there is data that nothing needs; gather the samples that corrections run on.

    They need it more than once, so that is before anything reads it; budgets are measured on it.
    """
    data, corrects = arguments["calibration"], _corrects(arguments)
    if data is not None and not looks_at_data(arguments):
        raise refuse(
            "calibration",
            "nothing that was asked for needs data",
            "Give a rule, scale_firing_rates=sw.MinimumError(steps=8), or leave it out",
        )
    if corrects:
        calibration.samples(data, graph)
    elif data is not None and has_budget(arguments["scale_firing_rates"]):
        calibration.some(data, graph, stepping)


def _check_corrections_of_sequences(arguments: Mapping[str, Any]) -> None:
    """Raise where something is to be corrected that differs from step to step of a sequence."""
    if arguments.get("sequence_step") is not None and _corrects(arguments):
        raise refuse(
            "sequence_step",
            "corrections make up for what is wrong with values held for a run, and those of a "
            "sequence are not",
            "Give numbers, or convert without sequence_step",
        )


def _check_corrections(arguments: Mapping[str, Any]) -> None:
    """Raise for a correction in a dict, and for one in the place of the other."""
    kinds = {"bias_correction": BiasCorrection, "initial_voltage": VoltageCorrection}
    for name, kind in kinds.items():
        value = arguments[name]
        items = value.values() if isinstance(value, Mapping) else [value]
        for item in items:
            misplaced = item is not value or not isinstance(item, kind)
            if isinstance(item, BiasCorrection | VoltageCorrection) and misplaced:
                own = f"{name}=sw.{kind.__name__}(steps)"
                raise refuse(name, f"its correction is one for all layers: {own}")


def looks_at_data(arguments: Mapping[str, Any]) -> bool:
    """Whether something in these arguments takes calibration data, by itself or in a dict."""
    return _corrects(arguments) or has_rule(arguments["scale_firing_rates"])


def _changes(arguments: Mapping[str, Any]) -> bool:
    """Whether something is done to the network after its scales are chosen."""
    return _corrects(arguments) or arguments["bias_correction"] is not None


def _corrects(arguments: Mapping[str, Any]) -> bool:
    """Whether something is to be measured by running the network."""
    bias, start = arguments["bias_correction"], arguments["initial_voltage"]
    return isinstance(bias, BiasCorrection) or isinstance(start, VoltageCorrection)


def _statistics(
    arguments: Mapping[str, Any],
    calibration: Calibration,
    graph: Graph,
    stepping: Stepping | None,
) -> Statistics:
    """The statistics that a rule reads; raises `ConversionError` where there is no data."""
    if arguments["calibration"] is None:
        raise need_data("a rule in scale_firing_rates")
    names = Roles(graph, stepping).populations
    return calibration.statistics(arguments["calibration"], graph, names, stepping)


def _correct(conversion: Conversion, calibration: Calibration) -> dict[str, Any]:
    """Correct biases, then initial voltages; returns the arguments with numbers in their place."""
    bias = conversion.arguments["bias_correction"]
    start = conversion.arguments["initial_voltage"]
    data = conversion.arguments["calibration"]
    if isinstance(bias, BiasCorrection):
        bias = correct_bias(conversion, bias, calibration.samples(data, conversion.canonical))
    elif bias is not None:
        bias = add_bias(conversion, bias)
    if isinstance(start, VoltageCorrection):
        start = correct_voltages(conversion, start, calibration.samples(data, conversion.canonical))
    return {"bias_correction": bias, "initial_voltage": start}


def _check(
    spiking: Spiking,
    max_spikes_per_step: int | None,
    sequence_step: int | None = None,
    synapse: Any = None,
    fallback: Any = None,
    **others: Any,
) -> None:
    """Raise for arguments that no model could be converted with."""
    if fallback not in (None, "python"):
        raise refuse("fallback", f'it is None or "python", got {fallback!r}')
    _check_sequence(sequence_step, synapse)
    NeuronChoice(spiking, _cap(spiking, max_spikes_per_step))


def _options(
    spiking: Spiking,
    max_spikes_per_step: int | None,
    scale_firing_rates: Any,
    synapse: Any,
    initial_voltage: Any,
    **others: Any,
) -> Options:
    choice = NeuronChoice(spiking, max_spikes_per_step)
    start = initial_voltage
    if isinstance(start, VoltageCorrection):
        start = start.start
    return Options(choice, scale_firing_rates, synapse, start)


def canonicalise(graph: Graph, trace: Trace, max_pool: MaxPoolForm = "gate") -> Graph:
    """Run the standard passes and the pooling policy.

    Raises `ConversionError` for every layer that no network is known to compute.
    """
    if not isinstance(max_pool, str) or max_pool not in MAX_POOL_FORMS:
        known = " or ".join(f'"{name}"' for name in MAX_POOL_FORMS)
        raise refuse("max_pool", f"it is {known}, got {max_pool!r}")
    _refuse_without_form(graph)
    graph, lines = run_passes(graph, (*STANDARD, *MAX_POOL_FORMS[max_pool]))
    for line in lines:
        trace.add(line.pass_name, line.layer, line.text, "exact" if line.exact else "approximated")
    return graph


def _refuse_without_form(graph: Graph, but: type[Layer] | tuple[()] = ()) -> None:
    refusals = without_form(graph, but)
    if refusals:
        raise ConversionError(refusals)


def _check_sequence(step: int | None, synapse: Any) -> None:
    """Raise unless a step of a sequence lasts some steps, in which values sent arrive."""
    if step is None:
        return
    if not (is_whole(step) and step >= 1):
        raise refuse("sequence_step", f"it is None or a whole number from 1, got {step!r}")
    if synapse is not None:
        raise refuse(
            "synapse",
            "with sequence_step nothing may arrive late: a synapse would carry what belongs to one "
            "step of the sequence into the next",
            "Leave it out",
        )


def _cap(spiking: Spiking, cap: int | None) -> int | None:
    if cap is not None and not spiking:
        raise refuse("max_spikes_per_step", "rate neurons send no spikes", "Use spiking=True")
    if cap is not None and not (is_whole(cap) and cap >= 1):
        raise refuse("max_spikes_per_step", f"it is None or a whole number from 1, got {cap!r}")
    return cap
