"""The walk over an exported program: constants are folded, other operators go to their readers."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import torch
from torch.utils import _pytree as pytree

from spikewright._base.samples import TreePath as Way
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.fallback import CannotCall, calling, format_returned, is_asked_for
from spikewright.frontends.pytorch.custom_op_wrapper import OpaqueOperand, operator_call
from spikewright.frontends.pytorch.functional import (
    fold,
    functional_name,
    is_foldable,
    like,
    ordinary,
    unknown_inside,
)
from spikewright.frontends.pytorch.naming import (
    Lacking,
    Shapeless,
    empty,
    find,
    first_result,
    in_words,
    is_shown,
    lost,
    owner,
    place_of_function,
    why_no_output,
)
from spikewright.frontends.pytorch.program import (
    TorchProgram,
    full_name,
    is_check,
    is_size,
    operand_by_shape,
    sizes_of,
)
from spikewright.frontends.pytorch.registry import (
    READERS,
    STATE,
    AlongFirstAxis,
    ArgumentPlace,
    TorchCall,
    is_tail,
    pretty,
    unsupported_reason,
)
from spikewright.frontends.pytorch.windows import (
    BY_PARTS,
    NOT_READ,
    Complex,
    part_of,
    with_kind,
)
from spikewright.frontends.reading.call import (
    BATCH_FIRST,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    layout_of,
)
from spikewright.frontends.source import GraphBuilder
from spikewright.graph import Graph

_TAKE_COMPLEX = ("aten.view_as_real.default", "aten.real.default", "aten.imag.default",
                 "aten.abs.default")  # fmt: skip


@dataclass
class TorchTraversal:
    """The values of all nodes of the program, found one node after another.

    `values` holds a `Value` for a node that depends on the inputs, a tensor or number for a
    constant, and tuples of them. `observed` gives the node of the program in which a graph's node
    can be observed.
    """

    program: TorchProgram
    places: Mapping[Any, ArgumentPlace]
    arguments: Mapping[str, Way]
    live: bool
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    values: dict[Any, Any] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)
    notes: dict[Any, Any] = field(default_factory=dict)
    precision: Any = field(init=False)

    def __post_init__(self) -> None:
        self.precision = self.program.precision
        self.values.update(self.program.constants)
        for node, shape in self.program.inputs.items():
            dtype = node.meta["val"].dtype
            whole = not dtype.is_floating_point  # truth values are zeros and ones
            name = self.builder.input(node.name, shape, self.arguments[node.name], whole)
            self._keep(node, Value(name, shape))
        for node in self.program.live:
            if node.op == "call_function" and not is_check(node):
                self._keep(node, self._meaning(node))

    def graph(self) -> Graph:
        """The graph of the nodes that the outputs need; raises for every refusal."""
        for target in self.program.state.values():
            self.builder.refuse(target, "buffer", *STATE)
        outputs: dict[str, str | None] = {}
        for name, node in self.program.outputs.items():
            value = self.values[node] if isinstance(node, torch.fx.Node) else node
            why = why_no_output(value)
            if why is None:
                outputs[name] = value.name
            else:
                self.builder.refuse_output(name, *why)
        return self.builder.build(outputs)

    def refuse_lone_outputs(self) -> None:
        """Refuse outputs without a batch axis in front, where a model takes one sample alone."""
        for name, node in self.program.outputs.items():
            if self.values[node].layout != BATCH_FIRST:
                sizes = pretty(sizes_of(node.meta["val"]))
                reason = f"one sample makes {sizes} of this output, which is no batch of one"
                self.builder.refuse(name, "output", reason, "Give it the batch axis in front")
        if self.builder.refusals:
            raise UnsupportedLayerError(self.builder.refusals, self.builder.nodes, self.builder.met)

    def _keep(self, node: Any, value: Any) -> None:
        kind = getattr(node.meta.get("val"), "dtype", None)
        if isinstance(value, Value) and kind is not None:
            value = with_kind(value, kind)
        self.values[node] = value
        if isinstance(value, Value) and value.name is not None and is_shown(value):
            self.observed.setdefault(value.name, node)

    def _meaning(self, node: Any) -> Any:
        """The value of a node; refusals are noted and leave a value without a name."""
        if is_size(node):
            return node.meta["val"]
        place = self.places.get(owner(node)) or place_of_function(node)
        args = [self._resolve(argument) for argument in node.args]
        kwargs = {name: self._resolve(argument) for name, argument in node.kwargs.items()}
        try:
            if node.target is operator.getitem:
                return self._item(*args)
            self._leave_shapes(node, args)
            if not find(Value, [*args, *kwargs.values()]):
                return self._constant(node, place, args, kwargs)
            return self._read(node, place, args, kwargs)
        except UnsupportedInput:
            pass  # missing values were refused where they got lost
        except UnsupportedOp as why:
            try:
                if self.live and is_asked_for():
                    return self._called(node, place)
            except UnsupportedInput:
                return lost(node.meta.get("val"))
            except CannotCall as other:
                why = UnsupportedOp(f"{why.reason}, and {other}", why.options)
            cut = self._read_by(node) if is_tail(full_name(node.target)) else None
            self.builder.remember(
                place.refusal(full_name(node.target), why.reason, why.options, self.live), cut
            )
        return lost(node.meta.get("val"))

    def _called(self, node: Any, place: ArgumentPlace) -> Any:
        """The value of a node as a call of its operator, of which it may be one of the results."""
        operator_node, results = owner(node), node.meta["val"]
        given = (list(operator_node.args), dict(operator_node.kwargs))
        operator_and_operands = (operator_node.target, *torch.fx.map_arg(given, self._operand))
        names = [self.values[one].name for one in _dependent(operator_node, self.values)]
        several = isinstance(operator_node.meta["val"], list | tuple)

        def result(made: Any, index: int | None) -> Value:
            layer = operator_call(operator_and_operands, made, index, in_words(node, place))
            name = f"{place.name}_{index}" if index else place.name
            own = self.builder.add(name, layer, *names, source=place.source, kind=place.kind)
            return Value(own, layer.made, layout_of(sizes_of(made)))

        if several and operator_node is node:
            return tuple(result(made, index) for index, made in enumerate(results))
        return result(results, node.args[1] if several else None)

    def _operand(self, node: Any) -> Any:
        """The operand for a call on a node; raises `CannotCall` or `UnsupportedInput`."""
        value, meta = self._resolve(node), node.meta.get("val")
        if isinstance(value, Lacking):
            raise CannotCall("it needs a constant that depends on more than the model")
        if not isinstance(value, Value):
            return value
        if value.name is None:
            raise UnsupportedInput
        if value.masked is not None:
            raise CannotCall("it reads values that are minus infinity")
        if isinstance(value, Complex):
            raise CannotCall("it reads complex numbers")
        return OpaqueOperand(value.shape, sizes_of(meta), meta.dtype, meta.device)

    def _read_by(self, node: Any) -> dict[str, str]:
        """The values that a node reads and layers make, by the names of the layers."""
        read = {}
        for operand in node.all_input_nodes:
            value, place = self.values.get(operand), self.places.get(owner(operand))
            if place is None or not isinstance(value, Value) or value.name is None:
                continue
            if first_result(owner(operand)) is operand and not isinstance(value, Complex):
                read[place.name] = value.name
        return read

    def _item(self, results: Any, index: int) -> Any:
        if isinstance(results, Value | Lacking):
            return results
        if index >= len(results) or results[index] is None:
            raise UnsupportedOp(f"its result number {index} is used, which has no reading")
        return results[index]

    def _leave_shapes(self, node: Any, args: list[Any]) -> None:
        """Put its shape in the place of a value of which an operator looks at nothing else."""
        position = operand_by_shape(ordinary(node.target))
        if position is not None and position < len(args) and isinstance(args[position], Value):
            args[position] = like(node.args[position].meta["val"])

    def _constant(
        self, node: Any, place: ArgumentPlace, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """A constant; one that cannot be computed is refused only where something reads it."""
        for unknown in find(Lacking, [*args, *kwargs.values()]):
            return unknown
        target = ordinary(node.target)
        try:
            if node in self.program.effects and is_foldable(target):
                return fold(node.target, args, kwargs)
            if is_foldable(target, args):
                return fold(target, args, kwargs)
            reason, options = unsupported_reason(full_name(node.target))
            raise UnsupportedOp(f"it is applied to constants, and {reason}", options)
        except UnsupportedOp as why:
            unknown = Lacking(place.refusal(full_name(node.target), why.reason, why.options))
        if self.program.has_side_effects:
            self.builder.remember(unknown.why)
        return unknown

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return argument.target if argument.op == "get_attr" else self.values[argument]
        if isinstance(argument, list | tuple):
            return [self._resolve(item) for item in argument]
        return argument

    def _read(
        self, node: Any, place: ArgumentPlace, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        self.builder.meet(place.source, place.kind)
        reader = READERS.get(functional_name(node.target))
        if reader is None:
            inside = unknown_inside(node)
            for inner in inside:
                name = full_name(inner.target)
                self.builder.remember(
                    place_of_function(inner).refusal(name, *unsupported_reason(name))
                )
            if inside:
                raise UnsupportedInput
            raise UnsupportedOp(*unsupported_reason(full_name(node.target)))
        operands = [*args, *kwargs.values()]
        unknown = find(Lacking, operands)
        for constant in unknown:
            self.builder.remember(constant.why)
        if unknown or any(isinstance(value, Shapeless) for value in find(Value, operands)):
            raise UnsupportedInput
        nothing = empty(node.meta["val"])
        if nothing is not None:
            return nothing
        if find(Complex, operands) and functional_name(node.target) not in _TAKE_COMPLEX:
            return self._by_parts(node, place, args, kwargs)
        return self._called_by(reader, node, place, args, kwargs)

    def _by_parts(
        self, node: Any, place: ArgumentPlace, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """The result for complex values, of an operator that does the same to both parts."""
        name = functional_name(node.target)
        if name not in BY_PARTS:
            raise UnsupportedOp(*NOT_READ)
        made = (
            self._called_by(
                READERS[name], node, replace(place, name=f"{place.name}/{part}"),
                part_of(args, index), part_of(kwargs, index),
            )
            for index, part in enumerate(("real", "imaginary"))
        )  # fmt: skip
        return Complex.of(*made)

    def _called_by(
        self, reader: Any, node: Any, place: ArgumentPlace, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """The results of an operator's reader."""
        call = self._call(node, place, args, kwargs)
        with calling(
            reader, place.name, place.kind, UnsupportedOp, UnsupportedInput, AlongFirstAxis
        ):
            before = len(self.builder.nodes)
            try:
                return self._results(call, reader(call), node.meta["val"])
            except AlongFirstAxis:
                self.builder.take_back(before)
                opened = self._call(node, place, *self._opened(call, args, kwargs))
                return self._results(opened, reader(opened), node.meta["val"])

    def _opened(self, call: TorchCall, *arguments: Any) -> Any:
        """Arguments whose values have the first axis of extent one that the program's have."""
        numbers = count()
        return pytree.tree_map_only(
            Value, lambda value: call.opened(value, f"opened_{next(numbers)}"), arguments
        )

    def _results(self, call: TorchCall, made: Any, expected: Any) -> Any:
        """The results of a reading, in the shapes that they have in the program."""
        if not isinstance(expected, list | tuple):
            return self._checked(call, made, expected)
        made = made if isinstance(made, tuple) else (made,)
        return tuple(
            None if one is None else self._checked(call, one, shape)
            for one, shape in zip(made, expected, strict=False)
        )

    def _checked(self, call: TorchCall, value: Any, expected: Any) -> Any:
        if isinstance(value, torch.Tensor | Shapeless):
            return value
        if isinstance(value, Complex):
            return Complex.of(*(call.settled(part, sizes_of(expected)) for part in value.parts))
        if not isinstance(value, Value):
            raise UnsupportedOp(
                f"its reading returns {format_returned(value)}, which is no value of the graph",
                "Return the result of call.add, or a tuple of such, one for each result.",
            )
        return call.settled(value, sizes_of(expected))

    def _call(
        self, node: Any, place: ArgumentPlace, args: list[Any], kwargs: dict[str, Any]
    ) -> TorchCall:
        parameters = node.target._schema.arguments
        arguments = {p.name: p.default_value for p in parameters if p.has_default_value()}
        arguments.update(zip((p.name for p in parameters), args, strict=False))
        arguments.update(kwargs)
        operands = (operand.meta.get("val") for operand in node.all_input_nodes)
        return TorchCall(
            functional_name(node.target),
            arguments,
            node.meta["val"],
            place=place,
            builder=self.builder,
            dtype=next(
                (value.dtype for value in operands if isinstance(value, torch.Tensor)), None
            ),
            precision=self.precision,
            notes=self.notes,
            live=self.live,
        )


def _dependent(node: Any, values: Mapping[Any, Any]) -> list[Any]:
    """The nodes that an operator is called with and that depend on the inputs, in order."""
    leaves = pytree.tree_leaves((list(node.args), dict(node.kwargs)))
    nodes = [leaf for leaf in leaves if isinstance(leaf, torch.fx.Node)]
    return [one for one in nodes if isinstance(values.get(one), Value)]
