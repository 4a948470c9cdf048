"""`.pt2` files: read as data, so that nothing in them is executed.

`torch.export.load` unpickles, evaluates expressions, imports modules and generates Python code from
names, all from the text of the file. So the file is not handed to it. Its parts are checked
against the format of `torch.export.save` (see `spikewright.frontends.pytorch.inspection`). A new
archive is made of those that are needed, without example inputs and compiled code. Pickles, which
hold the tensors in files of PyTorch before 2.8, must pass `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from spikewright._base.archives import UNREADABLE, Archive
from spikewright._base.budget import Budget, budget_of, current, spending
from spikewright.errors import DamagedFileError, ReadError, SpikewrightError
from spikewright.frontends.pytorch.inspection import Suspicious, clean_payloads, clean_program
from spikewright.frontends.pytorch.reading import read_program
from spikewright.frontends.source import Source

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
