"""Programs without side effects: in-place operators become ordinary ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from spikewright.errors import Refusal, UnsupportedLayerError
from spikewright.frontends.pytorch.aliasing import changes, is_in_place
from spikewright.frontends.pytorch.folding import is_foldable
from spikewright.frontends.pytorch.naming import owner, place_of_function
from spikewright.frontends.pytorch.program import Program, full_name, is_check, is_size, take_apart
from spikewright.frontends.pytorch.reasons import STATE
from spikewright.frontends.pytorch.registry import READERS
from spikewright.frontends.pytorch.running import results, sample_inputs

_BLOCKS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
_STORE = "aten.copy.default"  # how a program writes into its buffers


def functional_name(target: Any) -> str:
    """Full name of an operator, or of its ordinary form where it works in place."""
    name = full_name(target)
    if is_in_place(target):
        namespace, packet, overload = name.split(".")
        return f"{namespace}.{packet.removesuffix('_')}.{overload}"
    return name


def ordinary(target: Any) -> Any:
    """An operator, or its ordinary form where it works in place and has one."""
    if not is_in_place(target):
        return target
    namespace, packet, overload = functional_name(target).split(".")
    found = getattr(getattr(torch.ops, namespace), packet, None)
    return getattr(found, overload, None)


def without_side_effects(exported: Any, whole: bool = True) -> Program:
    """The program, in which in-place operators may be read as ordinary ones.

    Where an in-place operator changes a value that is used again, or blocks have a gradient mode
    of their own, PyTorch retraces the program, on values without data. A program that is read as a
    `whole` is retraced only where all operators are known; otherwise it comes back as it is, with
    every operator counted as live, so that all the unknown ones are refused.

    PyTorch takes some results for copies that share memory with their operand, as in dropout in
    evaluation mode. So the two programs are run on the same input and compared.
    Raises `UnsupportedLayerError` naming the in-place operators when they differ.
    """
    calls = [node for node in exported.graph.nodes if node.op == "call_function"]
    seen = changes(exported)
    entangled = seen.entangled
    blocks = any(isinstance(node.target, torch._ops.HigherOrderOperator) for node in calls)
    if not entangled and not blocks:
        return take_apart(exported, effects=seen.effects)
    if whole and not all(_is_known(node) for node in calls):
        return take_apart(exported, has_side_effects=True)
    before = take_apart(exported, has_side_effects=True)
    try:
        program = take_apart(exported.run_decompositions({}))
        same = _same_results(before, program)
    except RuntimeError as error:  # such as a state of another batch than its buffer is for
        written = _written(exported, entangled)
        refusals = [Refusal(name, "buffer", *STATE) for name in written]
        raise UnsupportedLayerError(refusals or list(map(_entanglement, entangled))) from error
    if not same:
        raise UnsupportedLayerError(list(map(_entanglement, entangled)))
    return program


def _entanglement(node: Any) -> Refusal:
    place = place_of_function(node)
    return Refusal(
        place.name,
        f"{place.kind}: {full_name(node.target)}",
        "it changes a value in place that other layers see through shared memory, and PyTorch's "
        "own rewriting of that changes what the model computes",
        "Do not work in place here: inplace=False, or x = x + y instead of x += y.",
        place.location,
    )


def _written(exported: Any, nodes: Iterable[Any]) -> list[str]:
    """The buffers that in-place operators write into, by name."""
    buffers = exported.graph_signature.inputs_to_buffers
    found = (owner(node.args[0]).name for node in nodes)
    return list(dict.fromkeys(buffers[name] for name in found if name in buffers))


def _same_results(before: Program, after: Program) -> bool:
    """Whether two programs return the same for one random input."""
    inputs = sample_inputs(before)
    return all(
        torch.allclose(one, two, 1e-4, 1e-4 * float(one.abs().max()), equal_nan=True)
        for one, two in zip(results(before, inputs), results(after, inputs), strict=True)
        if isinstance(one, torch.Tensor) and one.numel()
    )


def unknown_inside(node: Any) -> list[Any]:
    """The operators without a reading in the blocks that an operator of higher order runs."""
    owner_module = node.graph.owning_module
    names = [argument.target for argument in node.all_input_nodes if argument.op == "get_attr"]
    blocks = [getattr(owner_module, name, None) for name in names]
    found = []
    for block in blocks:
        if isinstance(block, torch.fx.GraphModule):
            calls = [inner for inner in block.graph.nodes if inner.op == "call_function"]
            for inner in calls:
                nested = isinstance(inner.target, torch._ops.HigherOrderOperator)
                found += unknown_inside(inner) if nested else [] if _is_known(inner) else [inner]
    return found


def _is_known(node: Any) -> bool:
    if full_name(node.target) in _BLOCKS:
        return not unknown_inside(node)
    name = functional_name(node.target)
    if is_check(node):
        return True
    if name in READERS or name in ("getitem", _STORE) or is_size(node):
        return True
    return is_foldable(ordinary(node.target))
