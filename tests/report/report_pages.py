"""Records of a made-up evaluation and diagnosis, and pages as trees."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import numpy as np

from spikewright.conversion import Sample, Trace
from spikewright.records import Record
from spikewright.report.figures import RasterInfo, raster_info

VOID = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Tag:
    """An element of a parsed page."""

    name: str
    attributes: dict[str, str]
    parts: list[Tag | str] = field(default_factory=list)

    @property
    def children(self) -> list[Tag]:
        """Elements right below."""
        return [part for part in self.parts if isinstance(part, Tag)]

    def all(self, name: str, **attributes: str) -> list[Tag]:
        """Elements of a name below this one, with these attributes."""
        found = []
        for child in self.children:
            named = child.name == name
            if named and all(child.attributes.get(k) == v for k, v in attributes.items()):
                found.append(child)
            found += child.all(name, **attributes)
        return found

    @property
    def text(self) -> str:
        """Everything that is written in it."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Tag("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Tag(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(found)
        if tag not in VOID:
            self.open.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def parse(text: str) -> Tag:
    """A page as a tree; fails where an element is not closed, or not in order."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder.open == [builder.root], [tag.name for tag in builder.open]
    return builder.root


def csv_of(link: Tag) -> list[list[str]]:
    """The rows of a link to data."""
    head, _, content = link.attributes["href"].partition(",")
    assert head == "data:text/csv;charset=utf-8"
    return list(csv.reader(io.StringIO(unquote(content))))


def evaluated(steps: int = 8, layers: tuple[str, ...] = ("conv", "dense")) -> list[Record]:
    """Records of an evaluation: both readouts at every step, activity and energy of the last."""
    records = [Record("source accuracy", 0.9, "fraction", 100)]
    for readout in ("mean", "last"):
        for t in range(1, steps + 1):
            how = {"steps": t, "dt": 0.001, "readout": readout}
            value = 0.88 * t / steps
            interval = (value - 0.05, value + 0.05)
            records += [
                Record("accuracy", value, "fraction", 100, interval, how),
                Record("accuracy drop", 0.9 - value, "fraction", 100, (-0.01, 0.05), how),
                Record("agreement", value, "fraction", 100, interval, how),
            ]
    for t in (steps // 2, steps):
        how = {"steps": t, "dt": 0.001}
        records.append(Record("spikes per sample", 10.0 * t, "spikes", 100, None, how))
        for layer in layers:
            at = {**how, "layer": layer}
            records += [
                Record("firing rate", 20.0, "Hz", 100, None, at),
                Record("spikes per sample", 5.0 * t, "spikes", 100, None, at),
                Record("silent neurons", 0.25, "fraction", 100, None, at),
                Record("saturated neurons", 0.0, "fraction", 100, None, at),
                Record("accumulates", 50.0 * t, "operations", 100, None, at),
            ]
        records.append(Record("accumulates", 100.0 * t, "operations", 100, None, how))
    return records + energies(steps)


def energies(steps: int) -> list[Record]:
    """Energy under two tables, with rivals."""
    records = []
    for table, joules in (("45nm", 2e-9), ("chip", 5e-6)):
        how = {"table": table, "steps": steps}
        told = {"citation": f"Who published {table}", "assumptions": f"What {table} assumes."}
        spiking = {**how, "network": "spiking", "precision": "fp32", **told}
        records.append(Record("energy", joules, "J", 100, None, spiking))
        for network, precision, value in (
            ("source", "fp32", 4e-9), ("source", "int8", 1e-9), ("quantised twin", "int4", 5e-10),
        ):  # fmt: skip
            rival = {**how, "network": network, "precision": precision}
            records.append(Record("energy", value, "J", 1, None, rival))
    return records


def diagnosed(layers: tuple[str, ...] = ("conv", "dense")) -> list[Record]:
    """Records of a diagnosis with one proposal."""
    how: dict[str, Any] = {"steps": 8, "dt": 0.001, "readout": "mean"}

    def record(name: str, value: float, unit: str = "fraction", **more: Any) -> Record:
        return Record(name, value, unit, 64, None, {**how, **more})

    records = [
        record("accuracy", 0.8),
        record("source accuracy", 0.9),
        record("accuracy drop", 0.1),
    ]
    for place, layer in enumerate(layers):
        records.append(record("drop of the layer alone", 0.1 / (place + 1), layer=layer))
        records.append(record("change of the layer alone", 0.2, layer=layer))
        records.append(record("gap", 0.3, layer=layer, part="whole"))
        for part, value in (
            ("inherited", -0.05), ("policy", 0.0), ("clipping", 0.15), ("quantisation", 0.2),
        ):  # fmt: skip
            records.append(record("gap", value, layer=layer, part=part))
        records.append(record("spikes per sample", 7.0, "spikes", layer=layer))
    change = {"change": "twice as many steps", "steps": 16}
    records.append(record("predicted gain", 0.05, **change))
    records.append(record("predicted price", 40.0, "spikes", **change))
    return records


def sampled(layers: tuple[str, ...] = ("conv", "dense"), steps: int = 8) -> RasterInfo:
    """A sample with spikes of either sign, seeded."""
    rng = np.random.default_rng(5)
    shape = (steps, 3, 10)
    counts = {layer: rng.poisson(0.4, shape) - (rng.random(shape) < 0.1) for layer in layers}
    answers = rng.normal(size=(steps, 4))
    values = {layer: rng.random((3, 10)) for layer in layers}
    told = {"digit": 3}
    source, x = rng.normal(size=4), rng.random((8, 8))
    return raster_info(watched(counts, answers, source, values), told, x)


def watched(
    counts: dict[str, Any], answers: Any, source: Any = None, values: Any = None, dt: float = 0.001
) -> Sample:
    """A sample as it was watched; its source's value is that of the last step unless given."""
    last = answers[-1] if source is None else source
    return Sample(counts, values or {}, values or {}, {"y": answers}, {"y": last}, dt)


def searched() -> list[Record]:
    """Settings of a search: the second of three is chosen, the third is beaten."""
    records = [Record("source accuracy", 0.9, "fraction", 100)]
    for name, worth, spikes in (("few", 0.5, 10.0), ("some", 0.85, 50.0), ("many", 0.8, 90.0)):
        how = {"setting": name, "chosen": name == "some"}
        records += [
            Record("accuracy", worth, "fraction", 100, None, how),
            Record("spikes per sample", spikes, "spikes", 100, None, how),
        ]
    return records


def trained(epochs: int, kept: int) -> list[Record]:
    """Records of a training: a loss of two kinds of samples, and an accuracy."""
    found = []
    for epoch in range(1, epochs + 1):
        how = {"epoch": epoch, "way": "rounding", "kept": epoch == kept}
        for samples, loss in (("trained on", 1 / epoch), ("held back", 2 / epoch)):
            found.append(Record("loss", loss, "loss", how={**how, "samples": samples}))
        score = {**how, "samples": "held back"}
        found.append(Record("accuracy", 1 - 0.5 / epoch, "fraction", how=score))
    return found


def swept(
    scale: Any,
    value: float,
    spikes: float = 10.0,
    steps: int = 4,
    name: str = "accuracy",
    **more: Any,
) -> list[Record]:
    """Records of one setting of a sweep after some steps."""
    how = {"scale": scale, "synapse": None, "neurons": "default", "steps": steps, "dt": 0.001}
    how |= {k: v for k, v in more.items() if k not in ("unit", "chosen")}
    unit = more.get("unit", "fraction")
    mark = {"chosen": True} if more.get("chosen") else {}
    interval = (value - 0.05, min(1.0, value + 0.05))
    return [
        Record(name, value, unit, 50, interval, {**how, "readout": "mean", **mark}),
        Record(name, value / 2, unit, 50, None, {**how, "readout": "last"}),
        Record("firing rate", spikes / 7, "Hz", 50, None, {**how, "layer": "a"}),
        Record("spikes per sample", spikes, "spikes", 50, None, {**how, "layer": "a"}),
        Record("spikes per sample", spikes, "spikes", 50, None, how),
    ]


SWEPT = [
    Record("source accuracy", 0.9, "fraction", 50),
    *swept(5.0, 0.85, 100, chosen=True),
    *swept(1.0, 0.3, 20),
    *swept("MinimumError(steps=4)", 0.88, 70),
    *swept(5.0, 0.7, 99, synapse=0.002),
]
"""A sweep over two numbers, a rule and two synapses."""


def traced(layers: tuple[str, ...] = ("conv", "dense")) -> Trace:
    """A trace with every status."""
    trace = Trace()
    trace.add("fold batch norm", "", "nothing to do", "exact")
    for layer in layers:
        trace.add("lower", layer, f"{layer} becomes neurons", "convergent")
    trace.add("pool", layers[0], "average in place of maximum", "approximated")
    trace.add("run", layers[0], "spikes are few", "warning")
    return trace


def everything(layers: tuple[str, ...] = ("conv", "dense")) -> dict[str, Any]:
    """All that a page can hold."""
    rng = np.random.default_rng(2)
    return {
        "records": evaluated(layers=layers),
        "trace": traced(layers),
        "diagnosis": diagnosed(layers),
        "search": searched(),
        "rates": {layer: rng.exponential(20.0, (3, 10)) for layer in layers},
        "raster": sampled(layers),
        "reproduce": ["spikewright evaluate model.onnx --data val.npz --steps 8"],
        "facts": {"seed": 0, "dt": 0.001, "twin": None},
    }
