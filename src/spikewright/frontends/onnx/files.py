"""From a path or a `ModelProto` to a checked model that holds all of its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from spikewright._base.budget import Budget, budget_of
from spikewright._base.files import file_at
from spikewright._base.optional import require
from spikewright.errors import DamagedFileError, ReadError
from spikewright.frontends.onnx.needed import captured, inlined, subgraphs

OLDEST_OPSET = 7
_MICROSOFT = "com.microsoft"
_LARGEST = 2**31 - 1  # protobuf's limit, hence that of ONNX's checker


def load(model: Any) -> tuple[Any, str, Budget]:
    """A checked copy of the model with its external data inside, and the place it came from.

    Also the budget of all that reading it makes. Raises `MissingFileError`, `DamagedFileError` for
    an invalid model, `ReadError` for an opset that is too old or too new.
    """
    onnx = require("onnx")
    if isinstance(model, str | Path):
        path = file_at(model)
        place = str(path)
        proto, budget = _parse(path), budget_of(path)
        _embed_all(proto, path, budget)
    else:
        proto, place = onnx.ModelProto(), f"the model {model.graph.name!r}"
        proto.CopyFrom(model)
        budget = Budget(place, proto.ByteSize())
        external = [tensor.name for tensor in _tensors(proto) if _is_external(tensor)]
        if external:
            raise ReadError(
                f"{place}: the data of {len(external)} tensors, {external[0]!r} first, is in "
                "another file. Give the path of the model, or load it with its external data."
            )
    _standard_domain(proto)
    _in_order(proto.graph)
    _check(proto, place)
    budget.holds(nodes=len(proto.graph.node))
    return inlined(proto, place, budget), place, budget


def _standard_domain(proto: Any) -> None:
    """Write the standard operators' domain as "", its shorter of two names, throughout.

    onnxruntime's optimiser leaves it to whoever writes its models to import the domain of its own.
    """
    for entry in (*proto.opset_import, *proto.graph.node):
        if entry.domain == "ai.onnx":
            entry.domain = ""
    imported = {entry.domain for entry in proto.opset_import}
    if any(node.domain == _MICROSOFT for node in proto.graph.node) and _MICROSOFT not in imported:
        proto.opset_import.add(domain=_MICROSOFT, version=1)


def _in_order(graph: Any) -> None:
    """Put nodes behind those whose results they read, as every program needs and some do not write.

    Nodes that read each other in a circle stay where they are.
    """
    makers = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    needs = [
        {makers[name] for name in (*node.input, *captured(node)) if name in makers}
        for node in graph.node
    ]
    if all(not need or max(need) < k for k, need in enumerate(needs)):
        return
    readers: dict[int, list[int]] = {}
    for k, need in enumerate(needs):
        for maker in need:
            readers.setdefault(maker, []).append(k)
    ready, order = [k for k, need in enumerate(needs) if not need], []
    while ready:
        order.append(heappop(ready))
        for k in readers.get(order[-1], ()):
            needs[k].discard(order[-1])
            if not needs[k]:
                heappush(ready, k)
    if len(order) == len(needs):
        nodes = [type(node).FromString(node.SerializeToString()) for node in graph.node]
        del graph.node[:]
        graph.node.extend(nodes[k] for k in order)


def type_name(element: int) -> str:
    """The standard's word for a tensor's element type."""
    types = require("onnx").TensorProto.DataType
    return str(types.Name(element)) if element in types.values() else f"type {element}"


def opset_of(proto: Any) -> int:
    """Version of the standard operator set that the model imports, or 0."""
    versions = [entry.version for entry in proto.opset_import if not entry.domain]
    return max(versions, default=0)


def _parse(path: Path) -> Any:
    onnx = require("onnx")
    data = path.read_bytes()
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, under a name that its versions change
        raise DamagedFileError(
            f"{path}: not an ONNX model, or a truncated one ({len(data)} bytes: {error}). "
            "Export it again, or copy it anew."
        ) from error
    if not proto.HasField("graph"):
        raise DamagedFileError(f"{path}: holds no ONNX graph ({len(data)} bytes). Export it again.")
    return proto


def _check(proto: Any, place: str) -> None:
    onnx = require("onnx")
    garbled = [name for name in _names(proto) if not isinstance(name, str)]
    if garbled:
        raise DamagedFileError(f"{place}: the name {garbled[0]!r} is no text. Export it again.")
    opset, newest = opset_of(proto), onnx.defs.onnx_opset_version()
    if 0 < opset < OLDEST_OPSET:
        raise ReadError(
            f"{place}: its operator set is version {opset}; {OLDEST_OPSET} is the oldest that is "
            "read. Convert it with onnx.version_converter.convert_version, or export it again."
        )
    if opset > newest:
        raise ReadError(
            f"{place}: its operator set is version {opset}, the installed onnx "
            f"{onnx.__version__} knows {newest}. Update onnx, or export with opset {newest}."
        )
    if sum(len(tensor.raw_data) for tensor in _tensors(proto)) > _LARGEST:
        raise ReadError(f"{place}: holds more than 2 GiB of data, the most that onnx can check.")
    shapeless = [value for value in (*proto.graph.input, *proto.graph.output) if _no_shape(value)]
    for value in shapeless:  # the checker wants one, the readers manage without
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise DamagedFileError(f"{place}: not a valid ONNX model. {error}") from error
    for value in shapeless:
        value.type.tensor_type.ClearField("shape")


def _names(proto: Any) -> Iterator[object]:
    """Every name in the graph; protobuf gives bytes where one is no valid UTF-8."""
    graph = proto.graph
    for named in (*graph.input, *graph.output, *graph.initializer):
        yield named.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _no_shape(value: Any) -> bool:
    tensor = value.type.WhichOneof("value") == "tensor_type"
    return tensor and not value.type.tensor_type.HasField("shape")


def _tensors(proto: Any) -> Iterator[Any]:
    """Every tensor of a model, wherever it is."""
    graphs = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            nodes.extend(graph.node)
            continue
        node = nodes.pop()
        graphs.extend(subgraphs(node))
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location == tensor.EXTERNAL)


def _embed_all(proto: Any, path: Path, budget: Budget) -> None:
    """Read the data that is in files beside the model into its tensors."""
    folder = path.resolve().parent
    seen: set[Path] = set()
    for tensor in filter(_is_external, _tensors(proto)):
        where = f"{path}: the data of tensor {tensor.name!r}"
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = _beside(entries.get("location", ""), folder, where)
        size = file.stat().st_size
        if file not in seen:
            seen.add(file)
            budget.holds(size)
        _embed(tensor, entries, file, size, where, budget)


def _beside(location: str, folder: Path, where: str) -> Path:
    """The file at a location below the model's folder."""
    try:
        file = (folder / location).resolve()
        inside = bool(location) and file.is_relative_to(folder)
        there = inside and file.is_file()
    except (OSError, ValueError, RuntimeError):  # no name of a file, or links in a circle
        raise DamagedFileError(
            f"{where} is said to be in {location!r:.80}, which is no name of a file. Save it again."
        ) from None
    if not inside:
        raise DamagedFileError(
            f"{where} is said to be in {location!r:.80}, outside the model's folder {folder}. "
            "Put the data beside the model and save it again."
        )
    if not there:
        raise DamagedFileError(f"{where} is missing: there is no {file}. Copy it beside the model.")
    return file


def _embed(
    tensor: Any, entries: Mapping[str, str], file: Path, size: int, where: str, budget: Budget
) -> None:
    """Read a tensor's bytes from a file of `size` bytes into the tensor."""
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", size - offset))
    except ValueError as error:
        raise DamagedFileError(f"{where} is at no readable offset and length ({error}).") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise DamagedFileError(
            f"{where} is at bytes {offset} to {offset + length} of {file.name}, "
            f"which has {size}: the file is truncated. Copy it anew."
        )
    budget.take(length, f"the data of tensor {tensor.name!r}")
    with file.open("rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    del tensor.external_data[:]
    tensor.data_location = tensor.DEFAULT
