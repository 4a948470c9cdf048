"""From a path or a `ModelProto` to a checked model that holds all of its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spikewright._base.optional import require
from spikewright.errors import DamagedFileError, ReadError

OLDEST_OPSET = 7
_LARGEST = 2**31 - 1  # protobuf's limit, hence that of ONNX's checker


def load(model: Any) -> tuple[Any, str]:
    """A checked copy of the model with its external data inside, and the place it came from.

    Raises `FileNotFoundError`, `DamagedFileError` for an invalid model, `ReadError` for an
    opset that is too old or too new.
    """
    onnx = require("onnx")
    if isinstance(model, str | Path):
        path = Path(model)
        place = str(path)
        proto = _parse(path)
        for tensor in _tensors(proto):
            if _is_external(tensor):
                _embed(tensor, path)
    else:
        proto, place = onnx.ModelProto(), f"the model {model.graph.name!r}"
        proto.CopyFrom(model)
        external = [tensor.name for tensor in _tensors(proto) if _is_external(tensor)]
        if external:
            raise ReadError(
                f"{place}: the data of {len(external)} tensors, {external[0]!r} first, is in "
                "another file. Give the path of the model, or load it with its external data."
            )
    _standard_domain(proto)
    _check(proto, place)
    if proto.functions:
        proto = require("onnx.inliner").inline_local_functions(proto)
    return proto, place


def _standard_domain(proto: Any) -> None:
    """Write the standard operators' domain as "", its shorter of two names, throughout."""
    for entry in (*proto.opset_import, *proto.graph.node):
        if entry.domain == "ai.onnx":
            entry.domain = ""


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
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            graphs.extend(attribute.graphs)


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location == tensor.EXTERNAL)


def _embed(tensor: Any, model_path: Path) -> None:
    """Read a tensor's bytes from the file beside the model, into the tensor."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where = f"{model_path}: the data of tensor {tensor.name!r}"
    location = entries.get("location", "")
    folder = model_path.resolve().parent
    file = (folder / location).resolve()
    if not location or not file.is_relative_to(folder):
        raise DamagedFileError(
            f"{where} is said to be in {location!r}, outside the model's folder {folder}. "
            "Put the data beside the model and save it again."
        )
    if not file.is_file():
        raise DamagedFileError(f"{where} is missing: there is no {file}. Copy it beside the model.")
    size = file.stat().st_size
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
    with file.open("rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    del tensor.external_data[:]
    tensor.data_location = tensor.DEFAULT
