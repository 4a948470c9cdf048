"""The findings of a diagnosis: in words and tables, as records, and as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spikewright._base.amounts import format_difference, loss_unit, percent, points, steps_text
from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright.diagnosis.causes import Cause
from spikewright.diagnosis.layer_losses import PARTS, LayerLoss
from spikewright.diagnosis.loss import Loss, Score
from spikewright.diagnosis.proposals import Proposal
from spikewright.errors import listed
from spikewright.records import SCORE, Record, plain

_DETAILED = 3  # causes of a kind that are described in full
_NOTHING = ("", "0.0 %", "0.0 points", "0")
Row = list[str]


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(RichRepr):
    """The losses of a network against its source, and changes against them; `print` shows tables.

    `loss` is that of the output, and `interval` the 95 % interval of a drop in accuracy or a
    metric. `score` compares the correctness of the outputs with the source's; it is None without
    truth. `layers` are the places that may lose something, the one that costs most first;
    `proposals` are changes, the best first, and `advice` says why there are none. `spikes` are per
    sample, over `samples` samples and runs of `steps` steps of `dt` seconds. `failures` gives the
    reasons of changes that could not be made or run.

    `rounded` is the loss of the rounded twin, as if all spikes were on time: it is lost to rounding
    and the cap, and what is lost beyond it to timing. It is None where there is no such network
    (see `running.single_step`). `rounded_score` is its score. `causes` say in words what makes the
    loss of a layer, with figures and what helps. `spikes_per_active` are spikes for each
    neuron whose value in the source is not 0. Of signed digits `steps` are those of a layer and
    `network_steps` those of the network; quantisation is rounding then, and arrival order lateness.
    """

    loss: Loss
    interval: tuple[float, float] | None
    score: Score | None
    layers: tuple[LayerLoss, ...]
    proposals: tuple[Proposal, ...]
    advice: str
    spikes: float
    samples: int
    steps: int
    dt: float
    failures: Mapping[str, str] = field(default_factory=dict)
    rounded: Loss | None = None
    causes: tuple[Cause, ...] = ()
    network_steps: int | None = None

    @property
    def spikes_per_active(self) -> float | None:
        """Spikes for each neuron whose value in the source is not 0; None where none is."""
        active = sum(layer.active or 0.0 for layer in self.layers)
        return self.spikes / active if active > 0 else None

    @property
    def rounded_score(self) -> float | None:
        """The score of the rounded twin; None without truth, or without such a network."""
        if self.score is None or self.rounded is None or self.rounded.drop is None:
            return None
        return self.score.source - self.score.worth.sign * self.rounded.drop

    @property
    def records(self) -> tuple[Record, ...]:
        """All of it as records: of the network, of every layer (`how["layer"]`), of proposals.

        "gap" has a record for each `how["part"]`, which add up to that of the "whole".
        """
        how = {"steps": self.steps, "dt": self.dt, "readout": "mean"}

        counts = self.score is not None and not self.score.worth.fraction

        def record(name: str, value: float, unit: str = "fraction", **more: Any) -> Record:
            if unit == SCORE and not counts:
                unit = "fraction"  # of scores: accuracy, and errors
            interval = more.pop("interval", None)
            return Record(name, float(value), unit, self.samples, interval, {**how, **more})

        return (
            *_of_network(self, record),
            *(r for layer in self.layers for r in _of_layer(layer, record)),
            *(_of_cause(cause, record) for cause in self.causes),
            *(r for proposal in self.proposals for r in _of_proposal(proposal, record)),
        )

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as plain data, ready for JSON: arrays as lists, neurons in words."""
        return {
            "layers": [layer.name for layer in self.layers],
            "proposals": [_proposal_as_dict(proposal) for proposal in self.proposals],
            "causes": [asdict(cause) for cause in self.causes],
            "advice": self.advice,
            "failures": dict(self.failures),
            "records": [record.as_dict() for record in self.records],
        }

    def __str__(self) -> str:
        paragraphs = [
            summary(self),
            format_table(_layer_rows(self), range(1, len(_LAYER))),
            *_causes(self),
        ]
        if self.proposals:
            rows = [_proposal(proposal, self) for proposal in self.proposals]
            paragraphs.append(
                format_table(_without_empty(_PROPOSAL, rows), range(1, len(_PROPOSAL)))
            )
        else:
            paragraphs.append(self.advice)
        paragraphs += [f"Not tried: {what}: {reason}" for what, reason in self.failures.items()]
        return "\n\n".join(paragraphs)

    def _summary(self) -> tuple[str, Rows]:
        return summary(self), _layer_rows(self)

    def __repr__(self) -> str:
        worst = self.layers[0].name
        return f"<Diagnosis: {worst!r} loses most, {len(self.proposals)} proposals>"


def _of_network(found: Diagnosis, record: Any) -> Iterator[Record]:
    score = found.score
    if score is not None:
        yield record(score.name, score.found, SCORE)
        yield record(f"source {score.name}", score.source, SCORE)
        if score.worth.rising:
            yield record(f"{score.name} drop", score.drop, SCORE, interval=found.interval)
    if score is not None and found.rounded_score is not None:
        yield record(f"rounded {score.name}", found.rounded_score, SCORE)
    yield record("output change", found.loss.change)
    if len(found.loss.by_output) > 1:
        for name, change in found.loss.by_output.items():
            yield record("change of one output", change, output=name)
    if found.rounded is not None:
        yield record("rounded output change", found.rounded.change)
    yield record("spikes per sample", found.spikes, "spikes")
    if found.spikes_per_active is not None:
        yield record("spikes per active neuron", found.spikes_per_active, "spikes")


def _of_layer(layer: LayerLoss, record: Any) -> Iterator[Record]:
    if layer.loss.drop is not None:
        yield record("drop of the layer alone", layer.loss.drop, SCORE, layer=layer.name)
    yield record("change of the layer alone", layer.loss.change, layer=layer.name)
    yield record("gap", layer.gap, layer=layer.name, part="whole")
    for part in PARTS:
        named = _part_of(layer, part)
        yield record("gap", layer.parts[part], layer=layer.name, part=named)
    for name, value in (
        ("dead neurons", layer.dead),
        ("saturated neurons", layer.saturated),
        ("unresolved values", layer.unresolved),
        ("late neurons", layer.late),
    ):
        if value is not None:
            yield record(name, value, layer=layer.name)
    if layer.spikes is not None:
        yield record("spikes per sample", layer.spikes, "spikes", layer=layer.name)


def _of_cause(cause: Cause, record: Any) -> Record:
    details = {"cause": cause.kind, "layer": cause.layer, "text": cause.text, "move": cause.move}
    found: Record = record("loss without its cause", cause.after, before=cause.before, **details)
    return found


def _of_proposal(proposal: Proposal, record: Any) -> Iterator[Record]:
    how = {"change": proposal.text, "steps": proposal.steps}
    yield record("predicted gain", proposal.predicted, SCORE, **how)
    yield record("predicted price", proposal.price, "spikes", **how)
    if proposal.measured is not None:
        yield record("measured gain", proposal.measured.gain, SCORE, **how)
        yield record("measured price", proposal.measured.price, "spikes", **how)


def _proposal_as_dict(proposal: Proposal) -> dict[str, Any]:
    return {
        "change": proposal.text,
        "arguments": plain(proposal.arguments),
        "steps": proposal.steps,
        "predicted": {"gain": proposal.predicted, "price": proposal.price},
        "measured": None if proposal.measured is None else asdict(proposal.measured),
    }


def _causes(found: Diagnosis) -> list[str]:
    """A line for each cause; of many of one kind the first, and the layers of the others."""
    lines = []
    for kind in dict.fromkeys(cause.kind for cause in found.causes):
        same = [cause for cause in found.causes if cause.kind == kind]
        lines += [str(cause) for cause in same[:_DETAILED]]
        if others := [cause.layer for cause in same[_DETAILED:]]:
            lines.append(f"So it is ({kind}) in {listed(others)}.")
    return ["\n".join(lines)] if lines else []


def _layer_rows(found: Diagnosis) -> list[Row]:
    """Headings, and a row for each layer."""
    headings = [_part_of(found.layers[0], name) for name in _LAYER]
    return _without_empty(headings, [_layer(layer, found) for layer in found.layers])


def summary(found: Diagnosis) -> str:
    """The loss, in a sentence."""
    score, each = found.score, f"{found.dt * 1000:g} ms"
    length = steps_text(found.steps, found.network_steps or found.steps, each)
    if score is None:
        lost = f"The output is {_percent(found.loss.change)} away from the source's{_twin(found)}"
    elif score.name == "accuracy" and score.worth.fraction:
        lost = (
            f"{_percent(score.found)} accuracy, the source {_percent(score.source)}{_twin(found)}: "
            f"{format_difference(score.drop, found.interval)}"
        )
    elif not score.worth.fraction:
        lost = (
            f"{score.name} {_number(score.found)}, the source's {_number(score.source)}"
            f"{_twin(found)}: {format_difference(score.drop, found.interval, loss_unit(False))}"
        )
    else:
        lost = (
            f"Relative error {_percent(score.found)}, the source's {_percent(score.source)}"
            f"{_twin(found)}"
        )
    return (
        f"{lost}, over {found.samples} samples, {length} and "
        f"{_number(found.spikes)} spikes a sample{_of_active(found)}.{_of_outputs(found)}"
    )


def _of_outputs(found: Diagnosis) -> str:
    """The distance of each of several outputs from the source, the largest first."""
    changes = sorted(found.loss.by_output.items(), key=lambda item: -item[1])
    if len(changes) < 2:
        return ""
    distances = ", ".join(f"{name} {_percent(change)}" for name, change in changes)
    return f" Away from the source's outputs: {distances}."


def _twin(found: Diagnosis) -> str:
    """The score of the rounded twin, or its change: what is left is lost to timing."""
    if found.rounded is None:
        return ""
    score, value = found.score, found.rounded_score
    if score is None or value is None:
        amount = _percent(found.rounded.change)
    else:
        amount = _percent(value) if score.worth.fraction else _number(value)
    return f" ({amount} if no spike came early or late)"


def _of_active(found: Diagnosis) -> str:
    """Spikes for each active neuron of the source."""
    ratio = found.spikes_per_active
    return "" if ratio is None else f", {_number(ratio)} per active neuron of the source"


_LAYER = [
    "layer",
    "alone costs",
    "alone changes",
    "gap",
    *PARTS,
    "dead",
    "saturated",
    "below a spike",
    "late",
    "spikes",
]
_OF_DIGITS = {"quantisation": "rounding", "arrival order": "lateness"}
"""The names of parts as they are of digits."""


def _part_of(layer: LayerLoss, part: str) -> str:
    """The name of a part of a layer's gap."""
    return part if layer.late is None else _OF_DIGITS.get(part, part)


def _layer(layer: LayerLoss, found: Diagnosis) -> Row:
    return [
        layer.name,
        _loss_format(found)(layer.loss.drop),
        _percent(layer.loss.change),
        _percent(layer.gap),
        *(_percent(layer.parts[part]) for part in PARTS),
        _percent(layer.dead),
        _percent(layer.saturated),
        _percent(layer.unresolved),
        "" if layer.late is None else f"{100 * layer.late:.2f} %",
        _number(layer.spikes),
    ]


_PROPOSAL = ["change", "gain", "more spikes", "gain, run", "more spikes, run"]


def _proposal(proposal: Proposal, found: Diagnosis) -> Row:
    text_of = _loss_format(found)
    run = proposal.measured
    return [
        proposal.text,
        text_of(proposal.predicted),
        _number(proposal.price),
        text_of(None if run is None else run.gain),
        _number(None if run is None else run.price),
    ]


def _loss_format(found: Diagnosis) -> Callable[[float | None], str]:
    """The format of losses: points of a score, a metric as it counts, or a change."""
    if found.score is None:
        return _percent
    return _points if found.score.worth.fraction else _number


def _without_empty(headings: Sequence[str], rows: list[Row]) -> list[Row]:
    """All rows, without the columns in which nothing stands: unknown values, parts of nothing."""
    columns = range(len(headings))
    kept = [i for i in columns if any(row[i] not in _NOTHING for row in rows)]
    return [[row[i] for i in kept] for row in (headings, *rows)]


def _percent(value: float | None) -> str:
    return "" if value is None else percent(value)


def _points(value: float | None) -> str:
    return "" if value is None else points(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.3g}"
