"""An exported program, taken apart: inputs, constants, outputs, and the operators they need."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch.utils import _pytree as pytree

from spikewright.errors import ReadError
from spikewright.graph import unique_name

BY_SHAPE = {
    f"aten.{name}": operand
    for operand, names in {
        "self": "zeros_like.default ones_like.default full_like.default zero.default fill.Scalar "
        "fill.Tensor new_zeros.default new_ones.default new_full.default",
        "other": "expand_as.default view_as.default reshape_as.default type_as.default to.other",
    }.items()
    for name in names.split()
}
"""Operators that look at one of their operands, named here, only for its shape and type."""


def sizes_of(tensor: Any) -> tuple[Any, ...]:
    """Extents of a tensor without data: numbers, and symbols where they are not known yet."""
    return tuple(map(_settled, tensor.shape))


def _settled(size: Any) -> Any:
    """A size as a number, where the program has settled on one in the course of tracing."""
    if not isinstance(size, torch.SymInt):
        return int(size)
    expression = size.node.expr
    return int(expression) if expression.is_Integer else size


@dataclass(frozen=True, eq=False)
class TorchProgram:
    """The parts of an `ExportedProgram`; `Any` stands for nodes of its `torch.fx` graph.

    `inputs` and `constants` (parameters, buffers, arguments without axes) are by placeholder,
    `outputs` by name. `live` are the nodes that the outputs need, in order; `dependent` are those
    of them that depend on the inputs. `state` names the buffers, by placeholder, that a run of the
    program changes; `effects` are as for `take_apart`. A program that still `has_side_effects` can
    be looked through, but not read.
    """

    exported: Any
    inputs: dict[Any, tuple[int, ...]]
    constants: dict[Any, Any]
    outputs: dict[str, Any]
    live: dict[Any, None]
    dependent: dict[Any, None]
    state: dict[Any, str]
    has_side_effects: bool
    effects: Mapping[Any, frozenset[Any]]

    @property
    def precision(self) -> Any:
        """The widest type of floating-point numbers among its inputs and parameters."""
        tensors = [
            *(node.meta["val"] for node in self.inputs),
            *map(self.constants.get, self.parameters),
        ]
        kinds = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
        return max(kinds, key=lambda kind: torch.finfo(kind).bits, default=torch.float32)

    @property
    def parameters(self) -> dict[Any, str]:
        """The names of the parameters, by placeholder."""
        names = self.exported.graph_signature.inputs_to_parameters
        return {node: names[node.name] for node in self.constants if node.name in names}


def take_apart(
    exported: Any,
    has_side_effects: bool = False,
    effects: Mapping[Any, frozenset[Any]] = MappingProxyType({}),
) -> TorchProgram:
    """Take a `torch.export.ExportedProgram` apart; with side effects, every operator is live.

    `effects` are operators that change constants in place, each with the values that share
    their memory.

    Raises `ReadError` when its inputs have no batch axis.
    """
    placeholders = [node for node in exported.graph.nodes if node.op == "placeholder"]
    signature = exported.graph_signature
    changed = {
        spec.target
        for spec in signature.output_specs
        if spec.kind.name in ("BUFFER_MUTATION", "PARAMETER_MUTATION")
    }
    inputs, constants, state = {}, {}, {}
    for node, spec in zip(placeholders, signature.input_specs, strict=True):
        value = node.meta.get("val")
        if spec.kind.name != "USER_INPUT":
            constants[node] = _held(exported, spec.target)
            if spec.target in changed:
                state[node] = spec.target
        elif isinstance(value, torch.Tensor):
            if not value.dim():
                raise ReadError(
                    f"input {node.name!r} is a scalar; inputs need a batch axis, (batch, *shape)."
                )
            inputs[node] = sizes_of(value)[1:]
        else:
            constants[node] = getattr(spec.arg, "value", value)
    if not inputs:
        raise ReadError("the program has no tensor as its input")
    outputs = _outputs(exported)
    ends = exported.graph.nodes if has_side_effects else outputs.values()
    live = needed(exported.graph, ends, effects)
    return TorchProgram(
        exported,
        inputs,
        constants,
        outputs=outputs,
        live=live,
        dependent=dependent(live, inputs),
        state={node: target for node, target in state.items() if node in live},
        has_side_effects=has_side_effects,
        effects={node: shared for node, shared in effects.items() if node in live},
    )


def cut(program: TorchProgram, outputs: dict[str, Any]) -> TorchProgram:
    """The program with these nodes for outputs, by name, and nothing that they do not need."""
    live = needed(program.exported.graph, outputs.values(), program.effects)
    return replace(
        program,
        inputs={node: shape for node, shape in program.inputs.items() if node in live},
        outputs=outputs,
        live=live,
        dependent={node: None for node in program.dependent if node in live},
        state={node: target for node, target in program.state.items() if node in live},
    )


def _held(exported: Any, target: str) -> Any:
    for store in (exported.state_dict, exported.constants):
        if target in store:
            if getattr(store[target], "is_meta", False):
                raise ReadError(f"{target!r} has no values (device meta). Load the weights first.")
            return store[target]
    raise ReadError(f"the program holds no tensor {target!r}, which it needs")


def _outputs(exported: Any) -> dict[str, Any]:
    """Nodes, or constants, that the program returns, by their names in its result."""
    (output,) = [node for node in exported.graph.nodes if node.op == "output"]
    return by_name(exported, returned(exported, output.args[0]))


def returned(exported: Any, values: Iterable[Any]) -> list[Any]:
    """Of all values that a program makes those that its model returns, without changed buffers."""
    specs = exported.graph_signature.output_specs
    return [
        value
        for value, spec in zip(values, specs, strict=True)
        if spec.kind.name in ("USER_OUTPUT", "LOSS_OUTPUT")
    ]


def by_name(exported: Any, leaves: Sequence[Any]) -> dict[str, Any]:
    """The leaves of a model's result, by name; a leaf of None is left out."""
    structure = pytree.tree_unflatten(list(range(len(leaves))), exported.call_spec.out_spec)
    named: dict[str, Any] = {}
    for path, position in pytree.tree_flatten_with_path(_with_keys(structure))[0]:
        if leaves[position] is not None:
            named[unique_name(_output_name(path, len(leaves)), named)] = leaves[position]
    return named


def _with_keys(result: Any) -> Any:
    """A result in which mappings of any class are dictionaries: those of diffusers name no keys."""
    if isinstance(result, Mapping):
        return {key: _with_keys(value) for key, value in result.items()}
    return pytree.tree_map(
        lambda part: _with_keys(part) if isinstance(part, Mapping) else part,
        result,
        is_leaf=lambda part: isinstance(part, Mapping),
    )


def _output_name(path: Any, count: int) -> str:
    """`output`, `output_0`, or the keys of a dictionary on the way to the value."""
    steps = [getattr(step, "key", getattr(step, "idx", getattr(step, "name", ""))) for step in path]
    if all(isinstance(step, int) for step in steps):
        return "output" if count == 1 else "_".join(["output", *map(str, steps)])
    return "_".join(map(str, steps))


def needed(
    graph: Any, outputs: Iterable[Any], effects: Mapping[Any, frozenset[Any]]
) -> dict[Any, None]:
    """The nodes that outputs depend on, in order; `effects` are as for `take_apart`."""
    needed = {node for node in outputs if isinstance(node, torch.fx.Node)}
    for node in reversed(graph.nodes):
        if node in needed or not needed.isdisjoint(effects.get(node, ())):
            needed.update((node, *node.all_input_nodes))
    return {node: None for node in graph.nodes if node in needed}


def operand_by_shape(target: Any) -> int | None:
    """The position of the operand of which an operator only looks at the shape, if it has one."""
    name = BY_SHAPE.get(str(target))
    if name is None:
        return None
    return [argument.name for argument in target._schema.arguments].index(name)


def _looked_at(node: Any) -> set[Any]:
    """The nodes whose values, and not their shapes alone, an operator looks at."""
    position = operand_by_shape(node.target)
    args = [argument for index, argument in enumerate(node.args) if index != position]
    return {
        one for one in pytree.tree_leaves((args, node.kwargs)) if isinstance(one, torch.fx.Node)
    }


def dependent(live: Iterable[Any], inputs: Iterable[Any]) -> dict[Any, None]:
    """Nodes that compute tensors from the inputs (sizes are not among them)."""
    found = set(inputs)
    for node in live:
        if node.op == "call_function" and not is_size(node) and found & _looked_at(node):
            found.add(node)
    return {node: None for node in live if node in found and node.op != "placeholder"}


def is_size(node: Any) -> bool:
    """Whether a node computes with sizes only."""
    if isinstance(node.target, torch._ops.OpOverload):
        return full_name(node.target).startswith("aten.sym_")
    return isinstance(node.meta.get("val"), int | float | torch.SymInt | torch.SymFloat)


def is_check(node: Any) -> bool:
    """Whether a node only checks something about the input, and computes nothing."""
    return full_name(node.target).startswith(("aten._assert_", "aten.sym_constrain_range"))


def full_name(target: Any) -> str:
    """Full name of an operator, such as `aten.relu.default` or `getitem`."""
    return "getitem" if target is operator.getitem else str(target)
