"""A diagnosis as records, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from spikewright.diagnosis.causes import Cause
from spikewright.diagnosis.findings import Findings
from spikewright.diagnosis.parts import PARTS
from spikewright.diagnosis.proposals import Proposal
from spikewright.diagnosis.survey import LayerLoss
from spikewright.records import SCORE, Record, plain


def records(found: Findings) -> tuple[Record, ...]:
    """Everything that was measured; see `Diagnosis.records`."""
    how = {"steps": found.steps, "dt": found.dt, "readout": "mean"}

    counts = found.score is not None and not found.score.worth.fraction

    def record(name: str, value: float, unit: str = "fraction", **more: Any) -> Record:
        if unit == SCORE and not counts:
            unit = "fraction"  # of scores: accuracy, and errors
        interval = more.pop("interval", None)
        return Record(name, float(value), unit, found.samples, interval, {**how, **more})

    return (
        *_of_network(found, record),
        *(r for layer in found.layers for r in _of_layer(layer, record)),
        *(_of_cause(cause, record) for cause in found.causes),
        *(r for proposal in found.proposals for r in _of_proposal(proposal, record)),
    )


def _of_network(found: Findings, record: Any) -> Iterator[Record]:
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
        yield record("gap", layer.parts[part], layer=layer.name, part=part)
    for name, value in (
        ("dead neurons", layer.dead),
        ("saturated neurons", layer.saturated),
        ("unresolved values", layer.unresolved),
    ):
        if value is not None:
            yield record(name, value, layer=layer.name)
    if layer.spikes is not None:
        yield record("spikes per sample", layer.spikes, "spikes", layer=layer.name)


def _of_cause(cause: Cause, record: Any) -> Record:
    said = {"cause": cause.kind, "layer": cause.layer, "text": cause.text, "move": cause.move}
    found: Record = record("loss without its cause", cause.after, before=cause.before, **said)
    return found


def _of_proposal(proposal: Proposal, record: Any) -> Iterator[Record]:
    how = {"change": proposal.text, "steps": proposal.steps}
    yield record("predicted gain", proposal.predicted, SCORE, **how)
    yield record("predicted price", proposal.price, "spikes", **how)
    if proposal.measured is not None:
        yield record("measured gain", proposal.measured.gain, SCORE, **how)
        yield record("measured price", proposal.measured.price, "spikes", **how)


def as_dict(found: Findings) -> dict[str, Any]:
    """Layers, the worst first, proposals, the best first, and all records, as plain data."""
    return {
        "layers": [layer.name for layer in found.layers],
        "proposals": [_proposal(proposal) for proposal in found.proposals],
        "causes": [asdict(cause) for cause in found.causes],
        "advice": found.advice,
        "failures": dict(found.failures),
        "records": [record.as_dict() for record in records(found)],
    }


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        "change": proposal.text,
        "arguments": plain(proposal.arguments),
        "steps": proposal.steps,
        "predicted": {"gain": proposal.predicted, "price": proposal.price},
        "measured": None if proposal.measured is None else asdict(proposal.measured),
    }
