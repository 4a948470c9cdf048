"""SPIKEWRIGHT_CHECK and SPIKEWRIGHT_TRACE where passes run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pass_graphs import chain

from spikewright.errors import PassError, SpikewrightError
from spikewright.graph import CANONICAL, Graph
from spikewright.graph.layers import Activation, Affine, Identity
from spikewright.passes import STANDARD, Note, Pass, PassResult, run

RNG = np.random.default_rng(4)


class Changed(Pass):
    """A pass that changes a weight and says that nothing changed."""

    name, requires, ensures = "changed", CANONICAL, CANONICAL

    def __init__(self, weight: float, exact: bool = True) -> None:
        self._weight, self._exact = weight, exact

    def rewrite(self, graph: Graph) -> PassResult:
        """The first weight of the layer "fc" as given."""
        layer = graph["fc"].layer
        assert isinstance(layer, Affine)
        weight = np.array(layer.weight)
        weight[0, 0] = self._weight
        nodes = [
            replace(n, layer=replace(layer, weight=weight)) if n.name == "fc" else n for n in graph
        ]
        note = Note("fc", "another weight", self._exact)
        return PassResult(Graph(tuple(nodes), graph.outputs, graph.aliases), (note,))


def network() -> Graph:
    """A linear layer, dropout and an activation."""
    fc = Affine(RNG.normal(size=(3, 4)), RNG.normal(size=3))
    return chain((4,), ("fc", fc), ("drop", Identity()), ("relu", Activation("relu")))


@pytest.mark.parametrize(
    ("weight", "says"),
    [(5.0, "output 'y' differs by"), (np.nan, "of its weight are NaN or infinite")],
    ids=["another value", "NaN"],
)
def test_a_broken_pass_is_named(weight: float, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the check the error names the pass, those before it and the fault; without it nothing
    is evaluated."""
    passes = (*STANDARD, Changed(weight))
    run(network(), passes)
    monkeypatch.setenv("SPIKEWRIGHT_CHECK", "1")

    with pytest.raises(PassError, match=r"pass 'changed' \(after .*'merge affine'\): ") as caught:
        run(network(), passes)
    assert says in str(caught.value)


def test_a_pass_that_says_so_may_change_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note that is not exact allows other outputs."""
    monkeypatch.setenv("SPIKEWRIGHT_CHECK", "1")
    graph, _ = run(network(), (*STANDARD, Changed(5.0, exact=False)))
    assert graph["fc"].layer.weight[0, 0] == 5.0


def test_the_trace_names_the_passes_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a pass with milliseconds and numbers of nodes, and one for each change below it, on
    standard error; nothing without the variable."""
    run(network())
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("SPIKEWRIGHT_TRACE", "1")
    run(network())
    out, err = capsys.readouterr()
    heads = [line for line in err.splitlines() if line.startswith("[spikewright]")]

    assert out == ""
    assert [line.split("pass ")[1].split("  ")[0] for line in heads] == [p.name for p in STANDARD]
    assert all(" ms  " in line for line in heads)
    assert "4 -> 3 nodes\n    'drop': dropped: an identity" in err


def test_other_values_of_the_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names variable and value, and the values that it takes."""
    monkeypatch.setenv("SPIKEWRIGHT_CHECK", "yes")
    with pytest.raises(SpikewrightError, match="SPIKEWRIGHT_CHECK is 'yes'; set it to 1 or 0"):
        run(network())
