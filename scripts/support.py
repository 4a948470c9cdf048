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
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from scripts.support_cases import Reading, of_keras, of_onnx, of_pytorch

from spikewright.frontends.keras import READERS as KERAS
from spikewright.frontends.keras.registry import _REASONS as KERAS_REASONS
from spikewright.frontends.keras.registry import built_in
from spikewright.frontends.onnx import READERS as ONNX
from spikewright.frontends.onnx.dequantising import HANDLERS as QUANTISED
from spikewright.frontends.onnx.registry import _REASONS as ONNX_REASONS
from spikewright.frontends.pytorch import READERS as PYTORCH
from spikewright.frontends.pytorch.registry import _REASONS as PYTORCH_REASONS
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Reshape
from spikewright.lower.trace import kind_of
from spikewright.showing.inspection import inspect

TARGET = Path(__file__).parents[1] / "docs" / "support.md"
HEAD = """# What can be converted

The layers, functions and operators that are read, and what a spiking network guarantees for each.
`spikewright inspect MODEL` shows the same for a model; [published networks](families.md) have a
page of their own. Anything else is refused, with the layer's name, the reason and what would help;
[a layer of your own](own_layers.md) takes one function.

In a rate network all layers are exact. In a spiking one a layer is **exact** (linear), or
**convergent** (its mean tends to the source's value; the error falls as 1 / (scale x steps)), or
**exact after L steps** ([rounding](training.md#train-a-source-with-rounded-activations)).
[Guarantees](guarantees.md) has the exceptions. "Depending on its options" means exact without an
activation or second operand, else convergent. Nothing is **approximated** unless you request it
(`max_pool="average"`).

<!-- Written by `python -m scripts.support`; do not edit. -->
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
_ON_INTEGERS = ", ".join(
    f"`{name}`" for name in sorted({operator for _, operator in QUANTISED} - _ALSO_PLAIN)
)
FRONT_ENDS = (
    FrontEnd(
        "Keras",
        lambda: {kind for kind, reader in KERAS.items() if built_in(reader)},
        of_keras,
        KERAS_REASONS,
        "Layers by class, and operations of `keras.ops` by theirs. Nested, shared and legacy "
        "models are read, in memory or from files; [Keras](keras.md) has the options.",
    ),
    FrontEnd(
        "PyTorch",
        lambda: {name for name in PYTORCH if name.startswith("aten.")},
        of_pytorch,
        PYTORCH_REASONS,
        "Functions and tensor methods; a module is read as the functions that it calls "
        "(`Conv2d` as `conv2d`). Functions of constants and sizes are computed during reading.",
    ),
    FrontEnd(
        "ONNX",
        lambda: {_of_domain(*key) for key in ONNX if key[0] in ("", "ai.onnx.ml")},
        of_onnx,
        {name: reason for name, reason in ONNX_REASONS.items() if ("", name) not in QUANTISED},
        "Operators of the standard domain from operator set 7 on, and of ai.onnx.ml. `If`, `Loop` "
        "and `Scan` are written out if constants decide what runs. Quantised operators are read as "
        f"real numbers, without their rounding ([ONNX](onnx.md#quantised-models)): {_ON_INTEGERS}.",
    ),
)


_READ = {
    ("exact",): "Exact",
    ("exact", "convergent"): "Exact or convergent, depending on its options",
    ("convergent",): "Convergent",
    ("exact after",): "Exact after L steps",
}
"""Headings of lists, by the guarantees of the test cases of a name."""


def rows(front_end: FrontEnd) -> dict[str, set[str]]:
    """The guarantees of every name that is read; `ValueError` for names without a case."""
    found: dict[str, set[str]] = {display_name(name): set() for name in front_end.names()}
    for reading in front_end.readings(front_end.names()):
        if reading.graph is None:
            found[display_name(reading.operator)].add("refused")
            continue
        found[display_name(reading.operator)] |= {
            kind_of(layer.status)
            for layer in inspect(read_by_neurons(reading.graph)).layers
            if layer.kind == reading.kind
        } or {"exact"}  # of constants alone: computed while the model is read
    without = [name for name, kinds in found.items() if not kinds]
    if without:
        raise ValueError(f"no case of {front_end.title} shows {', '.join(without)}")
    return found


def display_name(name: str) -> str:
    """An operator of PyTorch without its overload; any other name as it is."""
    return name.split(".")[1] if name.startswith("aten.") else name


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


def listed(names: Iterable[str]) -> str:
    """Names in alphabetical order; those that differ in their dimensions alone are one."""
    stems: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (name.lower(), name)):
        stems.setdefault(re.sub(r"[123](?=[Dd])", "#", name), []).append(name)
    return ", ".join(f"`{_joined(stem, group)}`" for stem, group in stems.items())


def _joined(stem: str, names: list[str]) -> str:
    """`Conv1D-3D` for three names."""
    if len(names) == 1:
        return names[0]
    first, last = (re.search(r"[123][Dd]", name) for name in (names[0], names[-1]))
    assert first is not None and last is not None
    return stem.replace(f"#{first[0][1]}", f"{first[0]}-{last[0]}", 1)


def section(front_end: FrontEnd) -> str:
    """The lists of one front end: names by guarantee, and those that are refused."""
    found = {name: kinds for name, kinds in rows(front_end).items() if not name.startswith("_")}
    groups: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    for name, kinds in found.items():
        read = tuple(kind for kind in ("exact", "exact after", "convergent") if kind in kinds)
        if read:
            groups.setdefault(_READ[read], []).append(name)
        else:
            reasons.setdefault("works over all axes, the batch among them", []).append(name)
    for name, (reason, _) in front_end.reasons.items():
        if name not in found and not name.startswith("_"):
            reasons.setdefault(reason.removeprefix("it "), []).append(name)
    parts = [
        f"**{title}:** {listed(groups[title])}." for title in _READ.values() if title in groups
    ]
    refused = [f"* {listed(names)}: {reason}" for reason, names in reasons.items()]
    paragraphs = [f"## {front_end.title}", front_end.intro, *parts, "**Refused:**"]
    wrapped = [_wrapped(paragraph) for paragraph in paragraphs]
    return "\n\n".join([*wrapped, "\n".join(_wrapped(line, "  ") for line in refused)]) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def support() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(section, FRONT_ENDS)])


if __name__ == "__main__":
    TARGET.write_text(support(), encoding="utf-8")
