"""Names of nodes and places of their code; values of a program that are lost, kept or shown."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from spikewright.errors import Refusal
from spikewright.frontends.outputs import pick
from spikewright.frontends.pytorch.program import TorchProgram, sizes_of
from spikewright.frontends.pytorch.registry import ArgumentPlace
from spikewright.frontends.pytorch.windows import Complex
from spikewright.frontends.reading.call import Value, layout_of, sample_shape
from spikewright.graph import unique_name

_FRAME = re.compile(r'File "([^"\n]+)", line (\d+)')
_HERE = str(Path(__file__).parents[1])  # the front ends
_INSIDE_FRAMEWORK = re.compile(r"[\\/](?:site|dist)-packages[\\/](?:torch|keras)[\\/]")
_WEIGHTS_OF_KERAS = "._torch_params."  # the path of a layer's weights, which is never called


@dataclass(frozen=True)
class _Module:
    key: str  # differs from call to call of one module
    path: str
    kind: str


def base_name(node: Any) -> str:
    """Short name of an operator: `relu` for `aten.relu_.default`."""
    name = str(node.target)
    packet = name.split(".")[1] if name.count(".") == 2 else name
    return packet.strip("_") or name


def in_words(node: Any, place: ArgumentPlace) -> str:
    """The code called at a place, in words: an operator, or a module of the user's."""
    kind = place.kind if "spikewright." in str(owner(node).target) else base_name(owner(node))
    return f"{kind} {place.name!r} of PyTorch"


def owner(node: Any) -> Any:
    """The operator whose result a node is: for `getitem` the node it picks from, else itself."""
    while node.target is operator.getitem:
        node = node.args[0]
    return node


def location(node: Any) -> str:
    """`file:line` of the innermost frame that is not a framework's own, or an empty text."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    while any(path.startswith(_HERE) for path, _ in frames):
        frames = frames[1:]  # who called a front end, and how, does not matter
    users = [(path, line) for path, line in frames if not _INSIDE_FRAMEWORK.search(path)]
    return ":".join(users[-1]) if users else ""


def is_users(path: str) -> bool:
    """Whether a file is neither a framework's nor one of the front ends."""
    return not path.startswith((_HERE, "<")) and not _INSIDE_FRAMEWORK.search(path)


def place_all(
    nodes: Collection[Any], inputs: Iterable[str], weights: Mapping[Any, str] = MappingProxyType({})
) -> dict[Any, ArgumentPlace]:
    """The place of every operator among `nodes`, which are in the order of the program.

    The operator that makes the result of a module without submodules is named as the module;
    operators before it inside the module are `path/operator`; an operator that stands in the
    code of a module with submodules is `path.operator`, a layer of its own. Where that code uses
    the weights of a submodule that it does not call, the operator is named as the submodule;
    `weights` holds the names of parameters by placeholder.
    """
    stacks = {node: _stack(node) for node in nodes}
    with_submodules = {module.path for stack in stacks.values() for module in stack[:-1]}
    leaf_of = {
        node: stack[-1]
        for node, stack in stacks.items()
        if stack and stack[-1].path and stack[-1].path not in with_submodules
    }
    results: dict[str, list[Any]] = {}
    for node, leaf in leaf_of.items():
        if node is owner(node) and _is_used_outside(node, leaf, leaf_of, nodes):
            results.setdefault(leaf.key, []).append(node)
    taken = {*inputs, *(leaf.path for leaf in leaf_of.values())}
    called = {module.path for stack in stacks.values() for module in stack}
    places = {}
    for node in nodes:
        if node is not owner(node):
            continue
        found = leaf_of.get(node)
        lent = _lender(node, stacks[node], weights)
        if lent and lent not in called and (found is None or results.get(found.key) != [node]):
            places[node] = ArgumentPlace(lent, lent, base_name(node), location(node))
            called.add(lent)
        elif found is None:
            places[node] = place_of_function(node, taken)
            taken.add(places[node].name)
        else:
            is_result = results.get(found.key) == [node]
            full = found.path if is_result else f"{found.path}/{base_name(node)}"
            places[node] = ArgumentPlace(full, found.path, found.kind, location(node))
    return places


def _lender(node: Any, stack: Sequence[_Module], weights: Mapping[Any, str]) -> str:
    """Path of the submodule whose weights an operator uses in the code of the module around it."""
    around = f"{stack[-1].path}." if stack and stack[-1].path else ""
    used = [weights[one] for one in node.all_input_nodes if one in weights]
    paths = [name.rpartition(".")[0] for name in used if _WEIGHTS_OF_KERAS not in name]
    inside = [path for path in paths if path and path.startswith(around)]
    return inside[0] if inside else ""


def place_of_function(node: Any, taken: Collection[str] = ()) -> ArgumentPlace:
    """The place of an operator in the code of a module, under a name that is not taken."""
    enclosing = next((m.path for m in reversed(_stack(node)) if m.path), "")
    name = base_name(node)
    full = unique_name(f"{enclosing}.{name}" if enclosing else name, taken)
    return ArgumentPlace(full, full, name, location(node))


def _stack(node: Any) -> list[_Module]:
    modules = []
    for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items():
        if str(key).startswith("_empty_nn_module_stack"):
            continue
        name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
        clean = re.sub(r"@\d+", "", path.removeprefix("L['self'].").removeprefix("L['self']"))
        modules.append(_Module(str(key), clean, name.rsplit(".", 1)[-1]))
    return modules


def _is_used_outside(
    node: Any, leaf: _Module, leaf_of: dict[Any, _Module], nodes: Collection[Any]
) -> bool:
    """Whether something outside of this call of the module reads the node's result."""
    for user in node.users:
        if user.op == "output":
            return True
        if user not in nodes:
            continue
        if user.target is operator.getitem:
            if _is_used_outside(user, leaf, leaf_of, nodes):
                return True
        elif user not in leaf_of or leaf_of[user].key != leaf.key:
            return True
    return False


T = TypeVar("T")


@dataclass(frozen=True)
class Shapeless(Value):
    """A value that could not be read, and of which not even the shape is known."""


@dataclass(frozen=True)
class Lacking:
    """A constant that could not be computed, and why."""

    why: Refusal


def lost(expected: Any) -> Any:
    """A value that could not be read, of the shape that it has in the program."""
    if isinstance(expected, list | tuple):
        return tuple(lost(one) for one in expected)
    if not isinstance(expected, torch.Tensor):
        return Shapeless(None, ())
    sizes = sizes_of(expected)
    fixed = all(isinstance(size, int) for size in sizes)
    return Value(None, sample_shape(sizes), layout_of(sizes)) if fixed else Shapeless(None, ())


def empty(expected: Any) -> Any:
    """A tensor without values, where an operator makes such; it is the same for all inputs."""
    if not isinstance(expected, torch.Tensor) or 0 not in sizes_of(expected):
        return None
    return torch.empty(sizes_of(expected), dtype=expected.dtype)


def find(kind: type[T], argument: Any) -> list[T]:
    """Everything of a kind in an argument, which may be nested."""
    if isinstance(argument, list | tuple):
        return [found for item in argument for found in find(kind, item)]
    return [argument] if isinstance(argument, kind) else []


def kept(
    program: TorchProgram, places: Mapping[Any, ArgumentPlace], names: Sequence[str]
) -> dict[str, Any]:
    """The nodes of outputs and layers by name; of several results of a layer, the first."""
    layers = {place.name: first_result(node) for node, place in places.items()}
    return pick(names, {**layers, **program.outputs})


def first_result(node: Any) -> Any:
    """The node of the first result of an operator that has several, or its own."""
    parts = [user for user in node.users if user.target is operator.getitem]
    return next((part for part in parts if part.args[1] == 0), node)


def is_shown(value: Value) -> bool:
    """Whether a graph's value is the program's, and no stand-in for minus infinity."""
    return value.is_finite and not isinstance(value, Complex)


def why_no_output(value: Any) -> tuple[str, str] | None:
    """The reason why a value cannot be an output, and the next move; None where it can."""
    if not isinstance(value, Value):
        return "this output does not depend on the input", ""
    if isinstance(value, Complex):
        return "this output holds complex numbers", "Return torch.view_as_real of it"
    if not value.is_finite:
        return "this output is minus infinity in places", ""
    return None
