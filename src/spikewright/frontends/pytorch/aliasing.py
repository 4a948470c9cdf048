"""Values of a program that share their memory, and changes in place that other nodes see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.frontends.pytorch.folding import is_settled
from spikewright.frontends.pytorch.naming import owner
from spikewright.frontends.pytorch.program import dependent, is_size, sizes_of

_COMPOSITE = "CompositeImplicitAutograd"
# Composite operators may hand on their operand, without saying so; these never do.
_FRESH = frozenset(
    f"aten.{name}"
    for name in (
        "linear.default", "matmul.default", "batch_norm.default", "relu6.default",
        *(f"conv{rank}d.{kind}" for rank in (1, 2, 3) for kind in ("default", "padding")),
        *(f"max_pool{rank}d.default" for rank in (1, 2, 3)),
        *(f"adaptive_avg_pool{rank}d.default" for rank in (1, 2, 3)),
    )
)  # fmt: skip
# These do without being called composite.
_SHARING = frozenset(("aten.pixel_shuffle.default", "aten.channel_shuffle.default"))


@dataclass(frozen=True)
class Changes:
    """The changes in place of a program that something else sees afterwards.

    `entangled` are those that cannot be read as ordinary operators. `effects` are those of
    constants alone, with all nodes that share their memory: they are done where they stand.
    """

    entangled: Sequence[Any]
    effects: Mapping[Any, frozenset[Any]]


def is_in_place(target: Any) -> bool:
    """Whether an operator changes an operand."""
    return isinstance(target, torch._ops.OpOverload) and bool(target._schema.is_mutable)


def changes(exported: Any) -> Changes:
    """Look at every operator that works in place."""
    position = {node: index for index, node in enumerate(exported.graph.nodes)}
    of_inputs = _dependent_nodes(exported)
    entangled, effects = [], {}
    for node in position:
        if node.op != "call_function" or not is_in_place(node.target) or _does_nothing(node):
            continue
        source = _source(node.args[0]) if _written(node) == [0] else None
        shared = frozenset() if source is None else _sharing(source)
        own = source is not None and _is_own(source, exported.graph_signature.user_inputs)
        if own and not _is_seen(node, shared, position):
            continue
        if own and _is_constant(shared | {node}, of_inputs):
            effects[node] = shared
        else:
            entangled.append(node)
    return Changes(entangled, effects)


def _dependent_nodes(exported: Any) -> set[Any]:
    """The nodes that compute from the inputs."""
    names = exported.graph_signature.user_inputs
    nodes = list(exported.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder" and node.name in names]
    return {*inputs, *dependent(nodes, inputs)}


def _does_nothing(node: Any) -> bool:
    """Whether an operator that draws numbers, and changes its operand, has none to draw."""
    chance = torch.Tag.nondeterministic_seeded in node.target.tags
    return chance and is_settled(node.target, node.args)


def _written(node: Any) -> list[int]:
    """The positions of the operands that an operator changes."""
    return [
        index
        for index, argument in enumerate(node.target._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def _source(node: Any) -> Any | None:
    """The node whose memory a node's result lies in, or None where that cannot be told."""
    while node.op == "call_function" and may_hand_on(node):
        operand = node.args[0] if node.args else None
        tensors = [one for one in node.all_input_nodes if not is_size(one)]
        if not isinstance(operand, torch.fx.Node) or (len(tensors) > 1 and not _says_so(node)):
            return None
        node = operand
    return node


def _says_so(node: Any) -> bool:
    """Whether an operator's schema has its result share memory with the first operand."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return node is not owner(node)
    first = target._schema.arguments[0].alias_info
    return first is not None and all(r.alias_info is not None for r in target._schema.returns)


def _sharing(source: Any) -> frozenset[Any]:
    """A node, and all that may share its memory."""
    found = [source]
    for node in found:
        found += [user for user in node.users if may_hand_on(user) and user not in found]
    return frozenset(found)


def _is_own(source: Any, inputs: Sequence[str]) -> bool:
    """Whether memory is that of an input or was made by an operator: no weights lie there."""
    return source.op == "call_function" or (source.op == "placeholder" and source.name in inputs)


def _is_seen(node: Any, shared: frozenset[Any], position: Mapping[Any, int]) -> bool:
    """Whether anything reads the changed memory later, but through the operator's own result."""
    earlier = (one for one in shared if position[one] < position[node])
    return any(
        position[user] > position[node] and not is_size(user)
        for one in earlier
        for user in one.users
    )


def _is_constant(nodes: frozenset[Any], of_inputs: set[Any]) -> bool:
    """Whether none of these depends on the inputs, nor on how many samples there are."""
    if not of_inputs.isdisjoint(nodes) or any(one.op != "call_function" for one in nodes):
        return False
    values = [one.meta.get("val") for one in nodes]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    fixed = all(isinstance(size, int) for tensor in tensors for size in sizes_of(tensor))
    operands = {operand for one in nodes for operand in one.all_input_nodes}
    return fixed and len(tensors) == len(values) and not any(map(is_size, operands))


def may_hand_on(node: Any) -> bool:
    """Whether the result of a node may share its memory with an operand."""
    if node.op != "call_function" or is_size(node):
        return False
    target = owner(node).target
    if not isinstance(target, torch._ops.OpOverload):
        return True
    if any(result.alias_info is not None for result in target._schema.returns):
        return True
    if str(target) in _SHARING:
        return True
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(target.name(), _COMPOSITE)
    return bool(composite) and str(target) not in _FRESH
