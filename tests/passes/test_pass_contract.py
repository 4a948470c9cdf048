"""The contract of a pass, which its base class checks for every pass there will ever be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from pass_graphs import chain

from spikewright.errors import PassError
from spikewright.graph import CANONICAL, IMPORTED, Graph, Node
from spikewright.graph.layers import Activation, Affine, Identity, Input
from spikewright.passes import Note, Pass, PassResult, run

RNG = np.random.default_rng(4)


@dataclass(frozen=True)
class Custom(Pass):
    """A pass that does what it is given."""

    does: Callable[[Graph], Graph]
    name = "custom"
    requires = IMPORTED
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """Whatever the test wants."""
        return PassResult(self.does(graph))


def _graph() -> Graph:
    dense = Affine(RNG.normal(size=(3, 3)), RNG.normal(size=3))
    return chain((3,), ("dense", dense), ("relu", Activation("relu")), dropout="relu")


def _with(graph: Graph, *nodes: Node, **changes: dict) -> Graph:
    fields = {"nodes": nodes or graph.nodes, "outputs": graph.outputs, "aliases": graph.aliases}
    return Graph(**{**fields, **changes})  # type: ignore[arg-type]


def _write(graph: Graph) -> Graph:
    graph["dense"].layer.arrays()["weight"][:] = 0.0
    return graph


def _replace_input(graph: Graph) -> Graph:
    return _with(graph, Node("x", Input((3,))), Node("z", Input((3,))), *graph.nodes[1:])


def _fail(graph: Graph) -> Graph:
    raise KeyError("oops")


BROKEN: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "writes into an array": (_write, "read-only"),
    "adds an input": (_replace_input, r"the inputs were .* and became .* a pass must keep them"),
    "renames an output": (lambda g: _with(g, outputs={"q": "relu"}), "the outputs were"),
    "drops an output": (lambda g: chain((3,), ("relu", Activation("relu"))), r"names \['dense'"),
    "changes a shape": (
        lambda g: chain((3,), ("relu", Affine(np.ones((4, 3))))), r"the outputs .*\(4,\)"),
    "loses an alias": (lambda g: _with(g, aliases={}), r"names \['dropout'\] are neither nodes"),
    "leaks an identity": (
        lambda g: _with(g, *g.nodes, Node("i", Identity(), ("relu",)), outputs={"y": "i"}),
        r"not canonical.*'i' \(Identity\)"),
    "raises": (_fail, "oops"),
    "returns nothing": (lambda g: None, "NoneType"),  # type: ignore[dict-item,return-value]
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_pass_that_breaks_its_contract_is_named(case: str) -> None:
    """The error names the pass and what it broke, and keeps the cause."""
    does, message = BROKEN[case]

    with pytest.raises(PassError, match=f"(?s)pass 'custom'.*{message}") as caught:
        Custom(does)(_graph())
    assert caught.value.__cause__ is not None


def test_a_pass_that_keeps_its_contract_passes() -> None:
    """The broken passes above fail for what they break: doing nothing is allowed."""
    graph = _graph()
    result = Custom(lambda g: g)(graph)

    assert [node.name for node in result.graph] == [node.name for node in graph]
    assert result.notes == ()


def test_the_arrays_of_the_graph_that_came_in_stay_writable() -> None:
    """Read-only is what the pass sees; the caller's arrays are the caller's."""
    graph = _graph()
    Custom(lambda g: g)(graph)

    graph["dense"].layer.arrays()["weight"][0, 0] = 7.0
    assert graph["dense"].layer.arrays()["weight"][0, 0] == 7.0


def test_a_pass_refuses_a_graph_of_an_earlier_stage() -> None:
    """What a pass requires is checked before it runs."""

    @dataclass(frozen=True)
    class Late(Pass):
        name = "late"
        requires = CANONICAL
        ensures = CANONICAL

        def rewrite(self, graph: Graph) -> PassResult:
            raise AssertionError("must not run")

    with pytest.raises(PassError, match=r"pass 'late' \(the first pass\): the graph is not canon"):
        Late()(chain((3,), ("i", Identity())))


def test_a_failure_in_a_pipeline_names_the_passes_before() -> None:
    """The history belongs to the message: the fault is often one pass earlier."""
    passes = (Custom(lambda g: g), Custom(lambda g: g), Custom(_fail))

    with pytest.raises(PassError) as caught:
        run(_graph(), passes)
    assert str(caught.value) == "pass 'custom' (after 'custom', 'custom'): 'oops'"


def test_a_user_s_pass_runs_and_is_traced() -> None:
    """`run` takes any passes; each of their notes becomes a line, silence a line of its own."""

    @dataclass(frozen=True)
    class Rounds(Pass):
        name = "round"
        requires = IMPORTED
        ensures = IMPORTED

        def rewrite(self, graph: Graph) -> PassResult:
            return PassResult(graph, (Note("dense", "weights rounded", exact=False),))

    graph, trace = run(_graph(), (Rounds(), Custom(lambda g: g)))

    assert [node.name for node in graph] == ["x", "dense", "relu"]
    assert [str(line) for line in trace] == [
        "round [3 -> 3 nodes] 'dense': weights rounded (approximated)",
        "custom [3 -> 3 nodes]: nothing to do",
    ]
    assert [line.exact for line in trace] == [False, True]
