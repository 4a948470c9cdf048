"""The stages of a conversion after reading: passes, scales, lowering, corrections, the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic

from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright.choosing import Statistics
from spikewright.choosing.budgets import Batches, meet_budgets
from spikewright.choosing.calibration import Calibration, is_statistics
from spikewright.choosing.correction import (
    BiasCorrection,
    StepCorrection,
    VoltageCorrection,
    add_bias,
    correct,
    looks_at_data,
)
from spikewright.choosing.default import candidates
from spikewright.choosing.scales import ChosenScales, choose_scales, has_budget, has_rule, need_data
from spikewright.conversion.arguments import Wanted
from spikewright.conversion.trace_warnings import (
    trace_choice,
    trace_masks,
    warn_of_no_effect,
    warn_of_no_spikes,
)
from spikewright.errors import ConversionError, Refusal, listed
from spikewright.frontends import ModelReader, Source, read
from spikewright.frontends.source import SourceNote
from spikewright.graph import Graph
from spikewright.graph.layers import Layer, Recurrence
from spikewright.lower import LayerGuarantee, Lowered, RowStepping, without_form
from spikewright.lower.coding import Coding
from spikewright.lower.operands import unsent_operands
from spikewright.lower.populations import PopulationChoices, Roles
from spikewright.lower.rate_coding import lowered
from spikewright.lower.trace import Trace
from spikewright.passes.base import Pass
from spikewright.passes.send_values import SendValues
from spikewright.passes.sequences import one_step
from spikewright.passes.standard import MAX_POOL_FORMS, STANDARD, MaxPoolForm
from spikewright.passes.standard import run as run_passes
from spikewright.quantising import Quantised, quantise, round_biases, round_starts
from spikewright.running.protocols import ConversionLike, Made
from spikewright.running.storage import Parts

_READ = "read"  # the stage of entries about what reading left out


@dataclass(frozen=True, eq=False)
class ConvertibleModel(Generic[Made]):
    """A model that was read, to be converted any number of times into a `kind` of conversion.

    `reading` reads it in another form of its recurrent layers, or for other outputs; `calibration`
    holds the statistics of its calibration data so far.
    """

    kind: Callable[..., Made]
    source: Source
    reading: Callable[..., Source] | None = None
    calibration: Calibration = field(default_factory=Calibration)

    def converted(self, wanted: Wanted) -> Made:
        """The model converted; raises `ConversionError` for layers and data that do not fit.

        Of what `steps` chooses the first that has a place for all layers and arguments.
        """
        *others, last = candidates(wanted.given)
        why = ""
        for one in others:
            try:
                made = self._made(Wanted(one))
            except ConversionError as error:
                why = why or f"; signed digits do not suit, since {error.refusals[0].reason}"
            else:
                return trace_choice(made, why)
        made = self._made(Wanted(last))
        return made if wanted.given.get("steps") is None else trace_choice(made, why)

    def _made(self, wanted: Wanted) -> Made:
        """The model converted with these arguments, in which `steps` is already settled."""
        arguments, wanted = wanted.given, wanted.filled()
        coding = wanted.coding
        trace, graph, stepping = Trace(), self.source.graph, None
        _trace_left_out(self.source, trace)
        if wanted.step is not None:
            graph, stepping = _one_step(graph, wanted.step)
        canonical = canonicalise(graph, trace, wanted["max_pool"])
        roles = roles_in(coding, Roles(canonical, stepping), trace)
        canonical = roles.graph
        data = CalibrationData(self.calibration, wanted, roles)
        data.check()
        _raise_refusals(coding.refused(roles))
        chosen = _choose_scales(wanted, roles, graph, data)
        _raise_refusals(coding.refused_scales(roles, chosen.in_numbers))
        again = partial(self.replace, wanted.form)

        def made(chosen: ChosenScales) -> Made:
            network = _network(roles, chosen.in_numbers, wanted.quantised)
            return self.kind(
                lowered=coding.arranged(roles, network),
                graph=self.source.graph, canonical=canonical, trace=Trace(),
                source=self.source, arguments=arguments, _convert=again,
                _reading=self.reading if isinstance(self.reading, ModelReader) else None,
            )  # fmt: skip

        correct = partial(_correct, data=data) if _is_corrected(wanted) else None
        measured_on = data.for_budgets(chosen)
        if measured_on is not None:
            conversion, chosen, corrected = meet_budgets(chosen, made, measured_on, correct)
        else:
            conversion = made(chosen)
            corrected = {} if correct is None else correct(conversion)
        chosen.add_to_trace(trace)
        _trace_guarantees(trace, conversion.lowered)
        trace_masks(trace, conversion.lowered)
        warn_of_no_effect(trace, wanted, conversion.lowered)
        warn_of_no_spikes(trace, wanted, conversion.lowered, conversion.canonical)
        conversion.trace = trace.followed_by(conversion.trace)
        samples = data.examples() if coding.looks_at_data else None
        coding = coding.settled(conversion, roles, samples)
        conversion.resolved = {
            **arguments,
            "scale_firing_rates": chosen.scales,
            "initial_voltage": chosen.start(wanted["initial_voltage"]),
            **corrected,
            "calibration": None,
            "coding": arguments.get("coding") and coding,
        }
        return conversion

    def replace(self, form: Mapping[str, Any], arguments: Mapping[str, Any]) -> Made:
        """Convert what was read in this form once more: read it in another if need be."""
        wanted = Wanted(arguments)
        if wanted.form == form:
            return self.converted(wanted)
        if self.reading is None:
            reason = "the model was read for another form of its recurrent layers or outputs"
            raise refuse("replace", reason, "Convert the model")
        source = self.reading(**wanted.form)
        return ConvertibleModel(self.kind, source, self.reading).converted(wanted)


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """The calibration data of one conversion of a graph, whose layers have `roles`."""

    calibration: Calibration
    wanted: Wanted
    roles: Roles

    def check(self) -> None:
        """Raise for data that nothing needs, and gather the samples to run on.

        Corrections need it more than once, so that is before anything reads it; budgets are
        measured on it.
        """
        given = self.wanted["calibration"]
        if given is not None and not looks_at_data(self.wanted.given):
            raise refuse(
                "calibration",
                "nothing that was asked for needs data",
                "Give a rule, scale_firing_rates=sw.MinimumError(steps=8), or leave it out",
            )
        if self.wanted.corrects:
            self.samples()
        elif given is not None and self._measures:
            self.calibration.some(given, self.roles.graph, self.roles.stepping)

    @property
    def _measures(self) -> bool:
        """True where a budget, or the code, runs the network on some samples."""
        return has_budget(self.wanted["scale_firing_rates"]) or self.wanted.coding.looks_at_data

    @property
    def is_summed_up(self) -> bool:
        """True where statistics of the data were given in place of the data."""
        return is_statistics(self.wanted["calibration"])

    def samples(self) -> dict[str, NDArray]:
        """All samples; raises `ConversionError` where they are not at hand."""
        return self.calibration.samples(self.wanted["calibration"], self.roles.graph)

    def examples(self) -> dict[str, NDArray] | None:
        """Some samples, `{input name: (samples, *shape)}`; None where there is no data."""
        given = self.wanted["calibration"]
        if given is None:
            return None
        return next(iter(self.calibration.some(given, self.roles.graph, self.roles.stepping)), None)

    def statistics(self, roles: Roles | None = None) -> Statistics:
        """The statistics that a rule reads, of a graph with these roles or its own.

        Raises `ConversionError` where there is no data.
        """
        given, roles = self.wanted["calibration"], roles or self.roles
        if given is None:
            code = self.wanted.given.get("coding")
            rule = "a rule in scale_firing_rates"
            raise need_data(rule if code is None else f"the code {type(code).__name__}")
        return self.calibration.statistics(given, roles.graph, roles.populations, roles.stepping)

    def for_budgets(self, chosen: ChosenScales) -> Batches | None:
        """The samples that budgets are measured on; None without budgets, or without samples."""
        given = self.wanted["calibration"]
        if not chosen.budgets or self.wanted["spiking"] is False:
            return None
        batches = self.calibration.some(given, self.roles.graph, self.roles.stepping)
        return Batches(batches, is_statistics(given)) if batches else None


def _choose_scales(
    wanted: Wanted, roles: Roles, read: Graph, data: CalibrationData
) -> ChosenScales:
    """The choices for each layer; of weights in few bits for the values that these give.

    Rounding depends on scales, and these on the values behind rounded weights. So scales are chosen
    twice, unless all that is known of the data is the statistics of other weights.
    """
    options, bits = wanted.options(roles.stepping), wanted.quantised
    chosen = choose_scales(options, roles, read, data.statistics)
    if bits is None or not has_rule(wanted["scale_firing_rates"]) or data.is_summed_up:
        return chosen
    rounded = quantise(roles, chosen.in_numbers, bits).roles
    return choose_scales(options, rounded, read, partial(data.statistics, rounded))


def _network(roles: Roles, choices: PopulationChoices, bits: Quantised | None) -> Lowered:
    """The network of a graph under choices in numbers, with weights of few bits if asked for."""
    if bits is None:
        return lowered(roles, choices)
    found = quantise(roles, choices, bits)
    network = lowered(found.roles, found.choices)
    network.network.dt = bits.dt  # its whole numbers are those of such a step
    guarantees = [
        LayerGuarantee(name, text, "approximated", text) for name, text in found.notes.items()
    ]
    return replace(network, guarantees=(*guarantees, *network.guarantees))


def _one_step(graph: Graph, steps: int) -> tuple[Graph, RowStepping]:
    """The graph of one step of a sequence, which takes so many steps of simulation."""
    _refuse_without_form(graph, but=Recurrence)
    found = one_step(graph)
    return found.graph, RowStepping(found.carried, found.inputs, found.outputs, found.values, steps)


def convert_model(
    kind: Callable[..., Made], model: Graph | ModelReader, arguments: Mapping[str, Any]
) -> Made:
    """Convert a graph, or a model that is read as the arguments ask."""
    wanted = Wanted(arguments)
    if isinstance(model, Graph):
        return ConvertibleModel(kind, read(model)).converted(wanted)
    return ConvertibleModel(kind, model(**wanted.form), model).converted(wanted)


def from_saved(kind: Callable[..., Made], parts: Parts) -> Made:
    """The conversion that a file holds; the graph that was read stands for its source."""
    arguments, again = parts.arguments, None
    notes = tuple(
        SourceNote(entry.layer, entry.text) for entry in parts.trace if entry.stage == _READ
    )
    source = replace(read(parts.graph), notes=notes)
    if arguments:
        form = Wanted(arguments).form
        again = partial(
            ConvertibleModel(kind, source, partial(_read_saved, source, form)).replace, form
        )
    made = kind(*parts[:-1], source, arguments, again)
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


def canonicalise(graph: Graph, trace: Trace, max_pool: MaxPoolForm = "gate") -> Graph:
    """Run the standard passes and the pooling policy.

    Raises `ConversionError` for every layer that no network is known to compute.
    """
    if not isinstance(max_pool, str) or max_pool not in MAX_POOL_FORMS:
        known = " or ".join(f'"{name}"' for name in MAX_POOL_FORMS)
        raise refuse("max_pool", f"it is {known}, got {max_pool!r}")
    _refuse_without_form(graph)
    return _traced(trace, graph, (*STANDARD, *MAX_POOL_FORMS[max_pool]))


def _traced(trace: Trace, graph: Graph, passes: Sequence[Pass]) -> Graph:
    """The graph that passes make, and an entry for each of their changes."""
    graph, lines = run_passes(graph, passes)
    for line in lines:
        trace.add(line.pass_name, line.layer, line.text, "exact" if line.exact else "approximated")
    return graph


def roles_in(coding: Coding, roles: Roles, trace: Trace) -> Roles:
    """The roles of layers in a code: where it asks for them, neurons send operands of products."""
    if not coding.sends_operands:
        return roles
    send = SendValues(unsent_operands(roles))
    return replace(roles, graph=_traced(trace, roles.graph, (send,)))


def _refuse_without_form(graph: Graph, but: type[Layer] | tuple[()] = ()) -> None:
    _raise_refusals(without_form(graph, but))


def _raise_refusals(refusals: list[Refusal]) -> None:
    if refusals:
        raise ConversionError(refusals)


def _is_corrected(wanted: Wanted) -> bool:
    """Whether something is done to the network after its scales are chosen."""
    return wanted.corrects or wanted["bias_correction"] is not None


def _correct(conversion: ConversionLike, data: CalibrationData) -> dict[str, Any]:
    """Correct biases, then initial voltages; returns the arguments with numbers in their place."""
    bias, start = data.wanted["bias_correction"], data.wanted["initial_voltage"]
    if isinstance(bias, BiasCorrection | StepCorrection):
        bias = correct(conversion, bias, data.samples())
    elif bias is not None:
        bias = add_bias(conversion, data.roles, bias)
    bits, populations = data.wanted["weights"], conversion.populations().values()
    if bias is not None and bits is not None:
        round_biases(populations, bits)
    found = {"bias_correction": bias}
    if isinstance(start, VoltageCorrection):
        found["initial_voltage"] = correct(conversion, start, data.samples())
        if bits is not None:
            round_starts(populations)
    return found


def _trace_guarantees(trace: Trace, network: Lowered) -> None:
    """Trace the form of each layer; warn where neurons do not compute what they stand for."""
    doubts: dict[str, list[str]] = {}
    for guarantee in network.guarantees:
        trace.add("lower", guarantee.layer, guarantee.text, guarantee.status)
        if guarantee.doubt:
            doubts.setdefault(guarantee.doubt, []).append(guarantee.layer)
    if doubts:
        sentences = [f"{doubt} ({listed(layers)})" for doubt, layers in doubts.items()]
        trace.warn("lower", f"the network does not tend to its source: {'; '.join(sentences)}")


def _trace_left_out(source: Source, trace: Trace) -> None:
    """An entry for each layer of which reading left something out, and one sentence for all."""
    for note in source.notes:
        trace.add(_READ, note.layer, note.text, "approximated")
    if source.notes:
        first, layers = source.notes[0], {note.layer for note in source.notes}
        others = f", and so it is with {len(layers) - 1} more layers" if len(layers) > 1 else ""
        trace.warn(
            _READ, f"{first.layer}: {first.text}{others}. print(conversion.trace) lists them."
        )
