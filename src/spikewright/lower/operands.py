"""Values that a code of spikes sends though no activation makes them: operands of products.

And the layers that multiply numbers all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from spikewright.graph import GraphNode
from spikewright.graph import layers as g
from spikewright.graph.graph import MOVES
from spikewright.lower.node_functions import WEIGHTS, is_homogeneous
from spikewright.lower.populations import Roles

_PRODUCTS = (g.MatMul, g.Multiply, g.Divide)


def unsent_operands(roles: Roles) -> tuple[str, ...]:
    """The values that neurons are to send, so that spikes meet spikes or weights, in order.

    They are the operands of products of computed values, but for plain sums of what is sent, and
    the maxima of values that no neurons send where weights read these. Of an operand that is moved
    about or scaled, it is the value before that. Two kinds stay numbers, met by the spikes of the
    other operand: divisors, which rounding could make zero, and the shares of a softmax, most of
    which are far below the largest of their channel and lost to its unit.
    """
    graph = roles.graph
    sent = _sent(roles)
    wanted = {name for node in graph for name in _wanted(roles, node)} - sent
    return tuple(node.name for node in graph if node.name in wanted)


def _sent(roles: Roles) -> set[str]:
    """The values that spikes carry already, or that come from outside; sums of such values too.

    So are states of a sequence, where the step before made them of such values.
    """
    carried = () if roles.stepping is None else roles.stepping.carried
    made = {state.read: roles.graph.outputs[state.made] for state in carried}
    found, states = _carried(roles, made), frozenset(made)
    while not found.issuperset(made[state] for state in states):
        states = frozenset(state for state in states if made[state] in found)
        found = _carried(roles, states)
    return found


def _carried(roles: Roles, states: Collection[str]) -> set[str]:
    """The same where those of these states are carried by spikes."""
    found: set[str] = {*states}
    for node in roles.graph:
        if _passes_spikes(node, found) or _is_given(roles, node) or node.name in roles.populations:
            found.add(node.name)
    return found


def _passes_spikes(node: GraphNode, spikes: Collection[str]) -> bool:
    """Whether a layer reads nothing but spikes of these, and passes them on without weights."""
    adds = node.layer.linear and not isinstance(node.layer, WEIGHTS)
    return (adds or is_homogeneous(node.layer)) and _meets(node, spikes)


def _meets(node: GraphNode, spikes: Collection[str]) -> bool:
    """Whether all that a layer reads is in spikes."""
    return bool(node.inputs) and all(name in spikes for name in node.inputs)


def _is_given(roles: Roles, node: GraphNode) -> bool:
    """Whether a value is an input's, a constant, or a row of a table that an input chooses."""
    states = () if roles.stepping is None else roles.stepping.read
    outside = isinstance(node.layer, g.Input) and node.name not in states
    looked_up = isinstance(node.layer, g.Lookup) and node.name in roles.fed
    return outside or looked_up or isinstance(node.layer, g.Constant) or node.name in roles.held


def _wanted(roles: Roles, node: GraphNode) -> Iterator[str]:
    """The values that a layer needs in spikes."""
    graph = roles.graph
    if isinstance(node.layer, _PRODUCTS) and node.name in roles.functions:
        operands = [_before_moves(roles, name) for name in node.inputs]
        computed = [name for name in operands if not _is_given(roles, graph[name])]
        if len(computed) > 1:
            sent = computed[:1] if isinstance(node.layer, g.Divide) else computed
            yield from (name for name in sent if not _shares(graph[name].layer))
    elif isinstance(node.layer, WEIGHTS):
        waiting, seen = list(node.inputs), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen and graph[name].layer.linear:
                waiting += graph[name].inputs
            elif is_homogeneous(graph[name].layer):
                yield name
            seen.add(name)


def _shares(layer: g.Layer) -> bool:
    """Whether a layer is a softmax."""
    return isinstance(layer, g.Activation) and layer.function == "softmax"


def _before_moves(roles: Roles, name: str) -> str:
    """The value that is moved about, or scaled, to make this one."""
    node = roles.graph[name]
    while isinstance(node.layer, (*MOVES, g.ScaleShift)) and len(node.inputs) == 1:
        node = roles.graph[node.inputs[0]]
    return node.name


def multiplies_numbers(roles: Roles) -> frozenset[str]:
    """The layers that multiply two numbers, in place of adding up weights that spikes meet.

    They are functions of several values, and weights that read what no neuron sends: inputs, and
    sums of weights.
    """
    spikes, found = set[str](), set[str]()
    for node in roles.graph:
        if node.name in roles.populations or _passes_spikes(node, spikes):
            spikes.add(node.name)
        if not (_meets(node, spikes) and node.layer.linear):
            found.add(node.name)
    return frozenset(found)
