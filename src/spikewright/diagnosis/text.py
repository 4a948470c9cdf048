"""A diagnosis in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spikewright._base.amounts import format_difference, loss_unit, percent, points
from spikewright._base.texts import aligned
from spikewright.diagnosis.findings import Findings
from spikewright.diagnosis.parts import PARTS
from spikewright.diagnosis.proposals import Proposal
from spikewright.diagnosis.survey import LayerLoss
from spikewright.errors import listed

_TOLD = 3  # causes of a kind that are told in full
_NOTHING = ("", "0.0 %", "0.0 points", "0")
Row = list[str]


def text(found: Findings) -> str:
    """A sentence, a row for each layer and one for each proposal."""
    paragraphs = [summary(found), aligned(layer_rows(found), numbers=True), *_causes(found)]
    if found.proposals:
        rows = [_proposal(proposal, found) for proposal in found.proposals]
        paragraphs.append(aligned(_without_empty(_PROPOSAL, rows), numbers=True))
    else:
        paragraphs.append(found.advice)
    paragraphs += [f"Not tried: {what}: {reason}" for what, reason in found.failures.items()]
    return "\n\n".join(paragraphs)


def _causes(found: Findings) -> list[str]:
    """A line for each cause; of many of one kind the first, and the layers of the others."""
    lines = []
    for kind in dict.fromkeys(cause.kind for cause in found.causes):
        same = [cause for cause in found.causes if cause.kind == kind]
        lines += [str(cause) for cause in same[:_TOLD]]
        if others := [cause.layer for cause in same[_TOLD:]]:
            lines.append(f"So it is ({kind}) in {listed(others)}.")
    return ["\n".join(lines)] if lines else []


def layer_rows(found: Findings) -> list[Row]:
    """Headings, and a row for each layer."""
    return _without_empty(_LAYER, [_layer(layer, found) for layer in found.layers])


def summary(found: Findings) -> str:
    """The loss, in a sentence."""
    score = found.score
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
        f"{lost}, over {found.samples} samples, {found.steps} steps of {found.dt * 1000:g} ms and "
        f"{_number(found.spikes)} spikes a sample{_of_active(found)}.{_of_outputs(found)}"
    )


def _of_outputs(found: Findings) -> str:
    """How far each of several outputs is away, the farthest first."""
    changes = sorted(found.loss.by_output.items(), key=lambda item: -item[1])
    if len(changes) < 2:
        return ""
    told = ", ".join(f"{name} {_percent(change)}" for name, change in changes)
    return f" Away from the source's outputs: {told}."


def _twin(found: Findings) -> str:
    """The score of the rounded twin, or its change: what is left is lost to timing."""
    if found.rounded is None:
        return ""
    score, value = found.score, found.rounded_score
    if score is None or value is None:
        amount = _percent(found.rounded.change)
    else:
        amount = _percent(value) if score.worth.fraction else _number(value)
    return f" ({amount} if no spike came early or late)"


def _of_active(found: Findings) -> str:
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
    "spikes",
]


def _layer(layer: LayerLoss, found: Findings) -> Row:
    return [
        layer.name,
        _shown(found)(layer.loss.drop),
        _percent(layer.loss.change),
        _percent(layer.gap),
        *(_percent(layer.parts[part]) for part in PARTS),
        _percent(layer.dead),
        _percent(layer.saturated),
        _percent(layer.unresolved),
        _number(layer.spikes),
    ]


_PROPOSAL = ["change", "gain", "more spikes", "gain, run", "more spikes, run"]


def _proposal(proposal: Proposal, found: Findings) -> Row:
    show = _shown(found)
    run = proposal.measured
    return [
        proposal.text,
        show(proposal.predicted),
        _number(proposal.price),
        show(None if run is None else run.gain),
        _number(None if run is None else run.price),
    ]


def _shown(found: Findings) -> Callable[[float | None], str]:
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
