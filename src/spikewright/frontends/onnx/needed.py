"""The nodes that outputs of an ONNX graph need, their names, and functions written out as nodes.

Thirty functions, each of which calls the next one twice, are a billion nodes in 2 kB. So the nodes
and bytes are counted first, from what each function makes of its own, and taken from the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from spikewright._base.budget import Budget
from spikewright._base.optional import require
from spikewright.errors import DamagedFileError
from spikewright.graph import unique_name


def needed_nodes(graph: Any) -> list[Any]:
    """The nodes that the model's outputs depend on, in order."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(captured(node))
            needed.discard("")  # an input that is not given
    return kept[::-1]


def captured(node: Any) -> set[str]:
    """Names that the node's subgraphs read from outside."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            names.update(value.name for value in graph.output)
            for inner in graph.node:
                names.update(inner.input, captured(inner))
    return names


def labels_of(nodes: Sequence[Any], inputs: Iterable[str]) -> list[str]:
    """A unique name per ONNX node: its own, or its first output's."""
    taken: dict[str, object] = dict.fromkeys(inputs)
    labels = []
    for node in nodes:
        wanted = node.name or next(name for name in node.output if name)
        labels.append(unique_name(wanted, taken))
        taken[labels[-1]] = None
    return labels


_DEEPEST = 64
"""Functions that may call each other in a row: they are written out by recursion."""

_Name = tuple[str, str, str]


class _Made(NamedTuple):
    """Nodes, and the bytes that they take."""

    nodes: int
    size: int


def inlined(proto: Any, place: str, budget: Budget) -> Any:
    """The model without functions of its own.

    Raises `DamagedFileError` for functions that call themselves, or that make more nodes or bytes
    than the budget has left.
    """
    if not proto.functions:
        return proto
    calls = _Calls(proto, place)
    budget.holds(nodes=sum(calls.own(function.node) for function in proto.functions))
    made = calls.made(proto.graph.node)
    budget.take_nodes(made.nodes, "writing out its functions")
    budget.take(made.size, "writing out its functions")
    return require("onnx.inliner").inline_local_functions(proto)


def subgraphs(node: Any) -> list[Any]:
    """The graphs that a node holds: branches, and bodies of loops."""
    found = []
    for attribute in node.attribute:
        found.extend(attribute.graphs)
        if attribute.HasField("g"):
            found.append(attribute.g)
    return found


class _Calls:
    """What becomes of calls of a model's functions; each function is looked at once."""

    def __init__(self, proto: Any, place: str) -> None:
        self._functions = {_name(f, f.name): f for f in proto.functions}
        self._place = place
        self._known: dict[_Name, _Made] = {}
        self._inside: list[_Name] = []

    def own(self, nodes: Iterable[Any]) -> int:
        """The number of nodes as they stand in the file, those of subgraphs included."""
        return sum(1 + sum(self.own(graph.node) for graph in subgraphs(node)) for node in nodes)

    def made(self, nodes: Iterable[Any]) -> _Made:
        """All that calls among these nodes, and inside of them, become."""
        count = size = 0
        for node in nodes:
            parts = [self.made(graph.node) for graph in subgraphs(node)]
            if (name := _name(node, node.op_type)) in self._functions:
                parts.append(self._of(name))
            count += sum(part.nodes for part in parts)
            size += sum(part.size for part in parts)
        return _Made(count, size)

    def _of(self, name: _Name) -> _Made:
        """All that one call of a function becomes."""
        if name in self._known:
            return self._known[name]
        if name in self._inside:
            raise self._wrong(name, "calls itself, so that it has no end")
        if len(self._inside) == _DEEPEST:
            raise self._wrong(name, f"is called by more than {_DEEPEST} others in a row")
        function = self._functions[name]
        self._inside.append(name)
        deeper = self.made(function.node)
        self._inside.pop()
        found = _Made(
            self.own(function.node) + deeper.nodes,
            sum(node.ByteSize() for node in function.node) + deeper.size,
        )
        self._known[name] = found
        return found

    def _wrong(self, name: _Name, what: str) -> DamagedFileError:
        return DamagedFileError(
            f"{self._place}: its function {name[1]!r} {what}. Export the model again, without "
            "functions of its own."
        )


def _name(item: Any, name: str) -> _Name:
    """The name by which a function is called: domain, name, and overload where onnx has those."""
    domain = "" if item.domain == "ai.onnx" else item.domain
    return domain, name, getattr(item, "overload", "")
