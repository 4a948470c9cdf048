"""Writes docs/support.md: what is read of each front end, and what it guarantees over time.

    python -m scripts.support

Everything on the page is taken from the code: the operators from the registries of readers, what
they are made of from the graphs that the front ends' test cases are read as, and the guarantees
from lowering those graphs. A test compares the page with what this makes, so run it after a reader
or the lowering of a layer has changed. It needs every front end, and takes some minutes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scripts.support_cases import Reading, of_keras, of_onnx, of_pytorch

from spikewright._base.equations import CURVES
from spikewright.frontends.keras import READERS as KERAS
from spikewright.frontends.keras.registry import _REASONS as KERAS_REASONS
from spikewright.frontends.keras.registry import built_in
from spikewright.frontends.onnx import READERS as ONNX
from spikewright.frontends.onnx.dequantising import HANDLERS as QUANTISED
from spikewright.frontends.onnx.registry import _REASONS as ONNX_REASONS
from spikewright.frontends.pytorch import READERS as PYTORCH
from spikewright.frontends.pytorch.registry import _REASONS as PYTORCH_REASONS
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Input, Layer, Reshape, Shape
from spikewright.lower.trace import kind_of
from spikewright.showing.inspection import LayerReport, inspect
from spikewright.testing.layers import CURVE_PARAMETERS, layer_examples

TARGET = Path(__file__).parents[1] / "docs" / "support.md"
HEAD = """# What can be converted

For those who ask whether a layer is read, and what it becomes.

Written by `scripts/support.py` from the registries of readers, the test cases of the front ends,
and what lowering makes of them. `spikewright inspect MODEL` says the same of a model;
[families of networks](families.md) lists published ones.

As a rate network everything that is read is exact: it computes what the source does. As a spiking
one a layer is

* **exact**: linear, it acts on spikes as they are;
* **convergent**: the mean of what it sends tends to the source's value; the error of the mean falls
  as one over (scale x steps), which a test measures for every layer of the graph, on constant input
  and behind neurons that spike;
* **approximated**: it does not tend to the source's value. No layer is by default; choosing such a
  form is listed as a loss in the trace and by `inspect`;
* **refused**: by name, with the reason and what would help.

What is written "exact or convergent" depends on options or inputs: a product with a constant is
linear and one of two values is not, and a layer with an activation of its own is as convergent as
that. The guarantee of a network is the weakest of its layers'.
"""


class FrontEnd(NamedTuple):
    """A front end: names of what it reads, its readings, and why it refuses what it refuses."""

    title: str
    names: Callable[[], set[str]]
    readings: Callable[[set[str]], Iterable[Reading]]
    reasons: Mapping[str, tuple[str, str]]
    intro: str


def _of_domain(domain: str, operator: str) -> str:
    return f"{domain}.{operator}" if domain else operator


_ALSO_PLAIN = {"Cast", "Pad", "Resize"}
_ON_INTEGERS = ", ".join(sorted({operator for _, operator in QUANTISED} - _ALSO_PLAIN))
FRONT_ENDS = (
    FrontEnd(
        "Keras",
        lambda: {kind for kind, reader in KERAS.items() if built_in(reader)},
        of_keras,
        KERAS_REASONS,
        "Layers by their class, and operations on tensors, `ops.`, by that of `keras.ops`. Nested, "
        "shared and legacy models, in memory or from files, are read too.",
    ),
    FrontEnd(
        "PyTorch",
        lambda: {name for name in PYTORCH if name.startswith("aten.")},
        of_pytorch,
        PYTORCH_REASONS,
        "Operators of exported programs: modules are read as what they compute. What is computed "
        "from constants and sizes alone is computed once. Overloads of an operator are one row.",
    ),
    FrontEnd(
        "ONNX",
        lambda: {_of_domain(*key) for key in ONNX if key[0] in ("", "ai.onnx.ml")},
        of_onnx,
        {name: reason for name, reason in ONNX_REASONS.items() if ("", name) not in QUANTISED},
        "Operators of the standard domain, from operator set 7 on; one whose inputs are constants "
        "is computed while a model is read, whatever it is. Operators of quantised models are read "
        "as the ordinary ones of the real numbers that their integers represent, within the "
        "integers' limits. They are approximated: the rounding is left out. Where their integers "
        "have no one scale and zero they are refused. These operators, of the standard domain and "
        f"of com.microsoft, are: {_ON_INTEGERS}. If, Loop and Scan are written out where constants "
        "decide what runs, and refused where the data do.",
    ),
)


_READ = {"exact": "exact", "exact after": "exact after L steps", "convergent": "convergent"}


@dataclass
class Row:
    """An operator: the guarantees that its cases have, and the graph layers that it is read as."""

    statuses: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)

    @property
    def guarantee(self) -> str:
        """Of the cases that are read: "exact", "convergent" or one of the two; else "refused"."""
        kinds = set(map(kind_of, self.statuses))
        found = " or ".join(words for kind, words in _READ.items() if kind in kinds)
        return found or "refused"

    @property
    def made_of(self) -> str:
        """The layers that it is read as, then the functions of activations among them."""
        if self.guarantee == "refused":
            return "it works over all axes, the batch among them"
        names = sorted(self.layers, key=_order)
        kinds = [name for name in names if not name[0].islower()]
        curves = [name for name in names if name[0].islower()]
        return "; ".join(", ".join(group) for group in (kinds, curves) if group) or "a constant"


def rows(front_end: FrontEnd) -> dict[str, Row]:
    """A row for every operator that the front end reads; `ValueError` for those without a case."""
    found = {shown(name): Row() for name in front_end.names()}
    for reading in front_end.readings(front_end.names()):
        row = found[shown(reading.operator)]
        if reading.graph is None:
            row.statuses.add("refused")
            continue
        nodes = [node for node in reading.graph if node.source_kind == reading.kind]
        row.layers |= {described(node.layer) for node in nodes}
        row.statuses |= {
            layer.status
            for layer in inspect(read_by_neurons(reading.graph)).layers
            if layer.kind == reading.kind
        } or {"exact"}  # of constants alone: computed while the model is read
    without = [name for name, row in found.items() if not row.statuses]
    if without:
        raise ValueError(f"no case of {front_end.title} shows {', '.join(without)}")
    return found


def shown(name: str) -> str:
    """An operator of PyTorch without its overload; any other name as it is."""
    return name.split(".")[1] if name.startswith("aten.") else name


def _order(name: str) -> tuple[str, str]:
    """Alphabetical whatever the case, and the same every time."""
    return name.lower(), name


def described(layer: Layer) -> str:
    """A layer's kind, of an activation its function."""
    return layer.function if isinstance(layer, Activation) else layer.kind


def read_by_neurons(graph: Graph) -> Graph:
    """The graph with neurons behind every output: what an output becomes depends on its reader."""
    nodes, outputs = list(graph), {}
    for output, name in graph.outputs.items():
        row, cells = f"{output} as a row", f"{output} as spikes"
        nodes += [
            GraphNode(row, Reshape((math.prod(graph.shapes[name]),)), (name,)),
            GraphNode(cells, Activation("relu"), (row,)),
        ]
        outputs[output] = cells
    return Graph(tuple(nodes), outputs)


def examples() -> Iterator[tuple[str, Layer, tuple[Shape, ...]]]:
    """A layer of every kind with its inputs' shapes, and every elementwise function."""
    known: set[str] = set()
    for example in layer_examples():
        name = described(example.layer)
        changes = name in ("Identity", "linear") or example.id not in _UNCHANGED
        if name not in known and changes and not isinstance(example.layer, Input):
            known.add(name)
            yield name, example.layer, example.shapes
    for name in CURVES:
        if name not in known:
            yield name, Activation(name, CURVE_PARAMETERS.get(name, {})), ((5,),)


def report(layer: Layer, shapes: tuple[Shape, ...], max_pool: str = "gate") -> LayerReport:
    """What becomes of a layer between inputs and neurons."""
    nodes = [GraphNode(f"x{index}", Input(shape)) for index, shape in enumerate(shapes)]
    reads = tuple(node.name for node in nodes)
    graph = Graph((*nodes, GraphNode("layer", layer, reads, "layer")), {"y": "layer"})
    found = inspect(read_by_neurons(graph), max_pool=max_pool)  # type: ignore[arg-type]
    return next(row for row in found.layers if row.name == "layer")


_UNCHANGED = ("sum-none", "multiply-one", "maximum-of-only", "minimum-of-only")  # of one input


def graph_section() -> str:
    """The layers of the graph, each with its guarantee, form and law."""
    lines = ["| layer | guarantee | law | becomes | why |", "|---|---|---|---|---|"]
    for name, layer, shapes in examples():
        lines.append(_graph_row(name, report(layer, shapes)))
        loss = report(layer, shapes, "average")
        if loss.status == "approximated":
            lines.append(_graph_row(f'{name} with `max_pool="average"`', loss))
    intro = "What every front end reads its operators as, in float64 equal to the source.\n"
    return "\n".join(["## Layers of the graph\n", intro, *lines, ""])


LAWS = {
    "exact": "at every step",
    "exact after": "at that number of steps alone",
    "convergent": "error of the mean ~ 1 / (scale x steps)",
    "approximated": "none",
}


def _graph_row(name: str, found: LayerReport) -> str:
    cells = (name, found.status, LAWS[kind_of(found.status)], form(found.becomes), found.why or "-")
    return f"| {' | '.join(cells)} |"


def form(becomes: str) -> str:
    """What a layer becomes, whatever its size and the name of its neighbour."""
    text = re.sub(r"\b\d+ ", "", becomes)
    return "connections" if text == "a junction" or text.startswith("part of") else text


def section(front_end: FrontEnd) -> str:
    """A front end's operators, and what it refuses."""
    lines = [f"## {front_end.title}\n", front_end.intro + "\n"]
    lines += ["| operator | guarantee | read as |", "|---|---|---|"]
    for name, row in sorted(rows(front_end).items(), key=lambda item: _order(item[0])):
        lines.append(f"| {name} | {row.guarantee} | {row.made_of} |")
    reasons: dict[str, list[str]] = {}
    read = {shown(name) for name in front_end.names()}
    for name, (reason, _) in front_end.reasons.items():
        if name not in read:
            reasons.setdefault(reason, []).append(name)
    lines += ["\nRefused, as is whatever is not named here:\n", "| operator | why |", "|---|---|"]
    lines += [
        f"| {', '.join(f'`{name}`' for name in sorted(names, key=_order))} | {reason} |"
        for reason, names in reasons.items()
    ]
    return "\n".join([*lines, ""])


def support() -> str:
    """The whole page."""
    return "\n".join([HEAD, graph_section(), *map(section, FRONT_ENDS)])


if __name__ == "__main__":
    TARGET.write_text(support(), encoding="utf-8")
