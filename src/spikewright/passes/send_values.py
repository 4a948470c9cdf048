"""Gives values neurons that send them as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spikewright.graph import IDENTITY_FREE, IMPORTED, SENT, Graph, GraphNode, unique_name
from spikewright.passes.base import Note, Pass, PassResult


@dataclass(frozen=True)
class SendValues(Pass):
    """Puts the activation `linear` behind values of these names: neurons that send the value.

    Whatever read the value reads that activation, called `name/spikes`. Outputs stay the value.
    """

    values: tuple[str, ...]
    name = "send values"
    requires = IDENTITY_FREE
    ensures = IMPORTED

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        nodes, notes, sent = list[GraphNode](), list[Note](), dict[str, str]()
        taken = {node.name for node in graph} | set(graph.aliases)
        for node in graph:
            nodes.append(replace(node, inputs=tuple(sent.get(name, name) for name in node.inputs)))
            if node.name in self.values:
                made = sent[node.name] = unique_name(f"{node.name}/spikes", taken)
                own = (node.source, node.source_kind)
                nodes.append(GraphNode(made, SENT, (node.name,), *own))
                notes.append(Note(made, f"neurons send the value of {node.name!r}"))
        return PassResult(Graph(tuple(nodes), graph.outputs, graph.aliases), tuple(notes))

    @classmethod
    def like(cls, graph: Graph) -> SendValues:
        """The pass that gives neurons to the values that have them in a graph of the same model."""
        return cls(tuple(node.inputs[0] for node in graph if node.layer == SENT))
