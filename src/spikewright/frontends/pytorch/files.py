"""`.pt2` files: read as data, so that nothing in them is executed.

`torch.export.load` unpickles, evaluates expressions, imports modules and generates Python code from
names, all from the text of the file. So the file is not handed to it. Its parts are checked
against the format of `torch.export.save`, and a new archive is made of those that are needed,
without example inputs and compiled code. Pickles, which hold the tensors in files of PyTorch before
2.8, must pass `torch.load(weights_only=True)`. The document is checked field by field: a text is
accepted only where it is known that PyTorch takes it for data, or where its form rules out that it
is code. Fields that a program does not need (guards, most metadata) are dropped.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from spikewright._base.archives import UNREADABLE, Archive
from spikewright._base.budget import Budget, budget_of, current, spending
from spikewright.errors import DamagedFileError, ReadError, SpikewrightError
from spikewright.frontends.pytorch.modules import read_program
from spikewright.frontends.source import Source


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


_MODEL = "models/model.json"
_WEIGHTS = "data/weights/"
_CONSTANTS = "data/constants/"
_EXAMPLE = "data/sample_inputs/model.pt"
_OLD_MODEL = "serialized_exported_program.json"
_OLD_TENSORS = ("serialized_state_dict.pt", "serialized_constants.pt")
_OLD_EXAMPLE = "serialized_example_inputs.pt"
_MARKS = ("archive_format", "archive_version", "byteorder", "version", ".data/version")


def read_file(
    path: Path, outputs: Sequence[str] | None = None, example_input: Any = None
) -> Source:
    """Read the program in a file; raises the errors of `load` and `read_program`."""
    with spending(budget_of(path)):
        return _read(path, outputs, example_input)


def _read(path: Path, outputs: Sequence[str] | None, example_input: Any) -> Source:
    exported = load(path)
    try:
        source = read_program(exported, outputs, example_input=example_input)
        return replace(source, loaded=exported)
    except SpikewrightError:
        raise
    except Exception as error:
        raise DamagedFileError(
            f"{path}: its program is malformed ({_short(error)}). Save it again."
        ) from error


def load(path: Path) -> Any:
    """The `torch.export.ExportedProgram` in a file.

    Raises `DamagedFileError` when the file is truncated, does not hold a program, or holds
    something that could be executed.
    """
    budget = current() or budget_of(path)
    try:
        parts = _Parts(path, budget)
        archive = _old_archive(parts) if _OLD_MODEL in parts else _archive(parts)
    except ReadError as error:
        raise ReadError(f"{path}: {error}") from None
    except Suspicious as error:
        raise DamagedFileError(
            f"{path}: {error}. It is not read, since files must be data. Save the model again with "
            "torch.export.save."
        ) from None
    except UNREADABLE as error:
        raise DamagedFileError(
            f"{path}: not a file that torch.export.save wrote ({_short(error)}). Save it again."
        ) from error
    try:
        return torch.export.load(archive)
    except Exception as error:
        raise DamagedFileError(
            f"{path}: PyTorch {torch.__version__} cannot read the program in it, written by "
            f"PyTorch {parts.version} ({_short(error)}). Save it again with this version."
        ) from error


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


class _Parts:
    """The members of an archive without the folder that they are all in."""

    version = "unknown"

    def __init__(self, path: Path, budget: Budget) -> None:
        self.budget = budget
        self._archive = Archive(io.BytesIO(path.read_bytes()), budget)
        names = self._archive.names
        self.root = "" if _OLD_MODEL in names else f"{names[0].split('/')[0]}/"
        self._members = {
            name.removeprefix(self.root): name for name in names if name.startswith(self.root)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> bytes:
        member = self._members[name]
        if not self._archive.stored(member):
            raise Suspicious(f"its member {name!r:.80} is compressed, which PyTorch never does")
        return self._archive.read(member)

    def program(self, name: str) -> tuple[str, bytes]:
        """The program in a member, checked and without unneeded parts."""
        document = json.loads(self[name])
        self.version = str(document.get("torch_version", "unknown"))[:40]
        return name, json.dumps(clean_program(document)).encode()


def _archive(parts: _Parts) -> io.BytesIO:
    """A new archive in the layout of PyTorch 2.8 and later."""
    if _MODEL not in parts:
        raise KeyError(f"it has no member {_MODEL!r}")
    members = dict([parts.program(_MODEL), (_EXAMPLE, b"")])
    members.update({name: parts[name] for name in _MARKS if name in parts})
    for folder, prefix in ((_WEIGHTS, "weight_"), (_CONSTANTS, "tensor_")):
        whole = f"{folder}model.pt"
        kind = folder.split("/")[1]
        if whole in parts:
            members[whole] = _tensors(parts, whole)
            continue
        config = f"{folder}model_{kind}_config.json"
        payloads = clean_payloads(json.loads(parts[config]), prefix)
        members[config] = json.dumps({"config": payloads}).encode()
        for payload in payloads.values():
            name = folder + payload["path_name"]
            members[name] = parts[name]
            _check_extent(payload, len(members[name]), parts.budget)
    return _pack(members, "archive/")


def _old_archive(parts: _Parts) -> io.BytesIO:
    """A new archive in the layout of PyTorch before 2.8."""
    members = dict([parts.program(_OLD_MODEL), ("version", parts["version"])])
    members.update({name: _tensors(parts, name) for name in _OLD_TENSORS})
    members[_OLD_EXAMPLE] = b""
    return _pack(members, "")


def _tensors(parts: _Parts, name: str) -> bytes:
    """A pickle that holds nothing but tensors."""
    content = parts[name]
    if not content:
        return content
    if zipfile.is_zipfile(io.BytesIO(content)):
        inner = Archive(io.BytesIO(content), parts.budget)
        if not all(map(inner.stored, inner.names)):
            raise Suspicious(f"its member {name!r} is compressed, which PyTorch never does")
    try:
        held = torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise Suspicious(f"its member {name!r} holds more than tensors ({_short(error)})") from None
    tensors = [leaf for leaf in tree_leaves(held) if isinstance(leaf, torch.Tensor)]
    parts.budget.take(sum(_size(tensor) for tensor in tensors), f"its member {name!r}")
    return content


def _size(tensor: torch.Tensor) -> int:
    """The bytes of a tensor's values, however few are stored."""
    return tensor.numel() * tensor.element_size()


def _check_extent(payload: Mapping[str, Any], stored: int, budget: Budget) -> None:
    """A tensor must lie in its bytes; values that repeat these are taken from the budget."""
    meta = payload["tensor_meta"]
    sizes = [size["as_int"] for size in meta["sizes"]]
    strides = [stride["as_int"] for stride in meta["strides"]]
    reach = sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True))
    values = math.prod(sizes)
    if values and not (min(sizes, default=1) > 0 and 0 <= reach < stored):
        raise ValueError(f"a tensor of shape {tuple(sizes)} has {stored} bytes")
    budget.take(16 * values, f"a tensor of shape {tuple(sizes)}")


def _pack(members: Mapping[str, bytes], root: str) -> io.BytesIO:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            file.writestr(root + name, content)
    archive.seek(0)
    return archive
