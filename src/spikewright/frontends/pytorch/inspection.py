"""Checks of the JSON in a `.pt2` file.

The document is checked field by field: a text is accepted only where it is known that PyTorch takes
it for data, or where its form rules out that it is code. Fields that a program does not need
(guards, most metadata) are dropped.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from spikewright.errors import ReadError


class Suspicious(Exception):
    """A part of a file differs from the format of `torch.export.save`."""


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|")
_PATH = re.compile(r"[^\s'\"\\()#;=]*")
_TOKEN = re.compile(r"[A-Za-z0-9_.:<>=+\-]*")
_SYMBOL = re.compile(r"[a-z]+\d+")
_KEPT_METADATA = ("stack_trace", "nn_module_stack")
_SYMBOLIC = frozenset(
    ("Symbol", "Integer", "Add", "Mul", "Max", "Min", "FloorDiv", "CleanDiv", "CeilDiv", "Mod",
     "PythonMod", "ModularIndexing", "Rational")
)  # fmt: skip
_CONTAINERS = frozenset(
    (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
)
_SIZE_OPERATOR = re.compile(
    r"_operator\.(?:getitem|add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_|pow|truediv)"
    r"|torch\.sym_[a-z]+|math\.(?:ceil|floor|trunc)"
)


def clean_program(document: Any) -> dict[str, Any]:
    """The serialized program, checked, without guards and without metadata that is not needed.

    Raises `Suspicious` for anything that is not known to be data.
    """
    program = dict(document)
    program["guards_code"] = []  # Python code that checks inputs: PyTorch would run it
    _check(program, "")
    return program


def clean_payloads(document: Any, prefix: str) -> dict[str, Any]:
    """The places of the tensors, by name; raises `Suspicious` if one is a pickle."""
    payloads = dict(document["config"])
    _check(payloads, "")
    for name, payload in payloads.items():
        plain = re.fullmatch(re.escape(prefix) + r"\d+", payload["path_name"])
        if payload["use_pickle"] is not False or not plain or not payload["tensor_meta"]:
            raise Suspicious(f"its tensor {name!r} is stored as a Python object")
    return payloads


def _check(value: Any, field: str) -> None:
    """Check everything in `value`, which stands under the name `field`; metadata is thinned out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not _PATH.fullmatch(key):
                raise Suspicious(f"it has a field {key[:80]!r}")
            if key in ("as_custom_obj", "custom_obj") and inner:
                raise Suspicious("it holds an object of a class of its own")
            if key == "metadata":
                value[key] = inner = {k: inner[k] for k in _KEPT_METADATA if k in inner}
            _check(inner, key)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, field)
    elif isinstance(value, str):
        _RULES.get(field, _token)(value, field)


def _matching(pattern: re.Pattern[str]) -> Callable[[str, str], None]:
    def rule(text: str, field: str) -> None:
        if not pattern.fullmatch(text):
            raise Suspicious(f"its field {field!r} holds {text[:80]!r}")

    return rule


def _data(text: str, field: str) -> None:
    """Any text: PyTorch takes it for data."""


def _operator(text: str, field: str) -> None:
    """The name of a registered operator, reached through namespaces of operators alone."""
    if _SIZE_OPERATOR.fullmatch(text):
        return
    parts = text.split(".")
    if parts[:2] != ["torch", "ops"] or not all(map(str.isidentifier, parts)):
        raise Suspicious(f"it names {text[:80]!r} as an operator")
    kinds = (
        torch._ops._OpNamespace,
        torch._ops.OpOverloadPacket,
        type(torch.ops.higher_order),
    )
    found: Any = torch.ops
    for name in parts[2:]:
        found = getattr(found, name, None)
        if isinstance(found, torch._ops.OpOverload | torch._ops.HigherOrderOperator):
            return
        if found is not None and not isinstance(found, kinds):
            raise Suspicious(f"it names {text[:80]!r} as an operator")
    raise ReadError(
        f"it uses {text[:80]!r}, which is not an operator here. Import its library first."
    )


def _expression(text: str, field: str) -> None:
    """A size: numbers, symbols, and arithmetic on them. PyTorch evaluates it as Python code."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Suspicious(f"it has a size {text[:80]!r}") from None
    for node in ast.walk(tree):
        if not _is_arithmetic(node):
            raise Suspicious(f"it has a size {text[:80]!r}")


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _SYMBOLIC
    if isinstance(node, ast.Name):
        return node.id in _SYMBOLIC or bool(_SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Constant):
        text = isinstance(node.value, str) and bool(_SYMBOL.fullmatch(node.value))
        return text or isinstance(node.value, bool | int)
    if isinstance(node, ast.keyword):
        return node.arg is not None
    return isinstance(
        node,
        ast.Expression | ast.BinOp | ast.UnaryOp | ast.Add | ast.Sub | ast.Mult | ast.USub
        | ast.Load,
    )  # fmt: skip


def _structure(text: str, field: str) -> None:
    """Check that arguments and results nest in Python's own containers with plain keys."""
    if not text:
        return
    _, tree = json.loads(text)
    pending = [tree]
    while pending:
        node = pending.pop()
        context = node["context"]
        keys = json.loads(context) if isinstance(context, str) else context
        plain = keys is None or (
            isinstance(keys, list) and all(isinstance(key, str | int) for key in keys)
        )
        if node["type"] not in _CONTAINERS or not plain:
            raise Suspicious(
                f"its inputs or outputs are in a {str(node['type'])[:80]!r}; only tuples, lists "
                "and dictionaries with texts as keys are read"
            )
        pending.extend(node["children_spec"])


_token = _matching(_TOKEN)
_RULES: Mapping[str, Callable[[str, str], None]] = {
    "name": _matching(_IDENTIFIER),
    "as_name": _matching(_IDENTIFIER),
    "forward_arg_names": _matching(_IDENTIFIER),
    "parameter_name": _matching(_PATH),
    "buffer_name": _matching(_PATH),
    "tensor_constant_name": _matching(_PATH),
    "fqn": _matching(_PATH),
    "as_string": _data,
    "as_strings": _data,
    "stack_trace": _data,
    "nn_module_stack": _data,
    "target": _operator,
    "as_operator": _operator,
    "expr_str": _expression,
    "in_spec": _structure,
    "out_spec": _structure,
}
