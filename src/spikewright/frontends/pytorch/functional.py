"""Programs without side effects: constants computed, in-place operators made ordinary ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from spikewright._base.budget import current
from spikewright.errors import Refusal, UnsupportedLayerError
from spikewright.frontends.pytorch.naming import owner, place_of_function
from spikewright.frontends.pytorch.program import (
    TorchProgram,
    dependent,
    full_name,
    is_check,
    is_size,
    sizes_of,
    take_apart,
)
from spikewright.frontends.pytorch.registry import READERS, STATE
from spikewright.frontends.pytorch.running import results, sample_inputs
from spikewright.frontends.reading.call import UnsupportedOp, afford

_FOLDABLE = frozenset(
    f"aten.{name}"
    for name in """
    __and__.Scalar __and__.Tensor __or__.Scalar __or__.Tensor __xor__.Scalar __xor__.Tensor
    _conv_depthwise2d.default _log_softmax.default _native_batch_norm_legit.no_stats
    _softmax.default _to_copy.default _unsafe_view.default _upsample_bicubic2d_aa.default
    _upsample_bicubic2d_aa.vec _upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec
    _weight_norm.default _weight_norm_interface.default all.default all.dim any.default any.dim
    arange.default arange.start arange.start_step argmax.default argmin.default argsort.default
    broadcast_tensors.default bucketize.Tensor column_stack.default complex.default cumprod.default
    diag.default diag_embed.default diff.default dot.default dstack.default embedding.default
    bartlett_window.default bartlett_window.periodic blackman_window.default
    blackman_window.periodic hamming_window.default hamming_window.periodic hann_window.default
    hann_window.periodic kaiser_window.default kaiser_window.periodic
    eye.default eye.m fill.Scalar fill.Tensor full.default full_like.default hstack.default
    index_fill.int_Scalar
    index_put.default lift_fresh.default linalg_norm.default linalg_householder_product.default
    linalg_matrix_exp.default linalg_solve.default linspace.default logspace.default mH.default
    matrix_exp.default sgn.default
    meshgrid.default meshgrid.indexing new_full.default new_ones.default new_zeros.default
    norm.Scalar norm_except_dim.default one_hot.default ones.default ones_like.default outer.default
    prod.default prod.dim_int scalar_tensor.default scatter.src scatter.value
    searchsorted.Tensor sort.default tril.default tril_indices.default triu.default
    triu_indices.default vdot.default vstack.default zero.default zeros.default zeros_like.default
    """.split()  # noqa: SIM905
)


def like(tensor: Any) -> Any:
    """Zeros of the shape and type of a value of which only these are looked at."""
    return torch.zeros((), dtype=tensor.dtype, device=tensor.device).expand(sizes_of(tensor))


def is_foldable(target: Any, args: Sequence[Any] = ()) -> bool:
    """Whether an operator may be run on constants: it is pure, deterministic, and known."""
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    if torch.Tag.nondeterministic_seeded in target.tags and not is_settled(target, args):
        return False
    name = str(target)
    elementwise = target.namespace == "aten" and torch.Tag.pointwise in target.tags
    read = name in READERS and not name.startswith("aten._")
    return elementwise or read or name in _FOLDABLE


def is_settled(target: Any, args: Sequence[Any]) -> bool:
    """Whether an operator that may draw random numbers draws none for these arguments."""
    given = {p.name: p.default_value for p in target._schema.arguments if p.has_default_value()}
    given.update(zip((p.name for p in target._schema.arguments), args, strict=False))
    running = [given.get(name) for name in ("train", "training") if name in given]
    rates = [given.get(name) for name in ("p", "dropout", "dropout_p") if name in given]
    return running == [False] or rates == [0]


def fold(target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of an operator on constants; raises `UnsupportedOp` where there is none."""
    try:
        _afford(target, args, kwargs)
        with torch.no_grad():
            return target(*args, **kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise UnsupportedOp(f"it cannot be computed from its constants: {error}") from None


def _afford(target: Any, args: Any, kwargs: Any) -> None:
    """Count the values of a result, known by their shapes; raises `UnsupportedOp` for too many.

    Operators whose shapes follow from values, or that PyTorch cannot foresee, are computed at once.
    """
    if current() is None:
        return
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            made = target(*args, **kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        return  # computing it says what is wrong
    tensors = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
    afford(sum(tensor.numel() for tensor in tensors))


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


def without_side_effects(exported: Any, whole: bool = True) -> TorchProgram:
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
        written = _buffers_written(exported, entangled)
        refusals = [Refusal(name, "buffer", *STATE) for name in written]
        raise UnsupportedLayerError(refusals or list(map(_entanglement, entangled))) from error
    if not same:
        raise UnsupportedLayerError(list(map(_entanglement, entangled)))
    return program


def _entanglement(node: Any) -> Refusal:
    return place_of_function(node).refusal(
        full_name(node.target),
        "it changes a value in place that other layers see through shared memory, and PyTorch's "
        "own rewriting of that changes what the model computes",
        "Do not work in place here: inplace=False, or x = x + y instead of x += y.",
    )


def _buffers_written(exported: Any, nodes: Iterable[Any]) -> list[str]:
    """The buffers that in-place operators write into, by name."""
    buffers = exported.graph_signature.inputs_to_buffers
    found = (owner(node.args[0]).name for node in nodes)
    return list(dict.fromkeys(buffers[name] for name in found if name in buffers))


def _same_results(before: TorchProgram, after: TorchProgram) -> bool:
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
