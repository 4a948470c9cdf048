"""From a path or a `ModelProto` to a checked model that holds all of its data.

Functions are written out as nodes. Thirty functions, each of which calls the next one twice, are a
billion nodes in 2 kB. So the nodes and bytes are counted first, from what each function makes of
its own, and taken from the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

from spikewright._base.budget import Budget, budget_of
from spikewright._base.files import file_at
from spikewright._base.optional import require
from spikewright.errors import DamagedFileError, ReadError
from spikewright.graph import unique_name

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


def needed_nodes(graph: Any) -> list[Any]:
    """The nodes that the model's outputs depend on, in order."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(captured(node))
            needed.discard("")  # an input that is not given
    return kept[::-1]


def captured(node: Any) -> set[str]:
    """Names that the node's subgraphs read from outside."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            names.update(value.name for value in graph.output)
            for inner in graph.node:
                names.update(inner.input, captured(inner))
    return names


def labels_of(nodes: Sequence[Any], inputs: Iterable[str]) -> list[str]:
    """A unique name per ONNX node: its own, or its first output's."""
    taken: dict[str, object] = dict.fromkeys(inputs)
    labels = []
    for node in nodes:
        wanted = node.name or next(name for name in node.output if name)
        labels.append(unique_name(wanted, taken))
        taken[labels[-1]] = None
    return labels


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name, texts as such."""
    get = require("onnx").helper.get_attribute_value
    values = {attribute.name: get(attribute) for attribute in node.attribute}
    return {n: v.decode(errors="replace") if isinstance(v, bytes) else v for n, v in values.items()}


_DEEPEST = 64
"""Functions that may call each other in a row: they are written out by recursion."""

_Name = tuple[str, str, str]


class _Made(NamedTuple):
    """Nodes, and the bytes that they take."""

    nodes: int
    size: int


def inlined(proto: Any, place: str, budget: Budget) -> Any:
    """The model without functions of its own.

    Raises `DamagedFileError` for functions that call themselves, or that make more nodes or bytes
    than the budget has left.
    """
    if not proto.functions:
        return proto
    calls = _Calls(proto, place)
    budget.holds(nodes=sum(calls.own(function.node) for function in proto.functions))
    made = calls.made(proto.graph.node)
    budget.take_nodes(made.nodes, "writing out its functions")
    budget.take(made.size, "writing out its functions")
    return require("onnx.inliner").inline_local_functions(proto)


def subgraphs(node: Any) -> list[Any]:
    """The graphs that a node holds: branches, and bodies of loops."""
    found = []
    for attribute in node.attribute:
        found.extend(attribute.graphs)
        if attribute.HasField("g"):
            found.append(attribute.g)
    return found


class _Calls:
    """The forms of calls of a model's functions; each function is looked at once."""

    def __init__(self, proto: Any, place: str) -> None:
        self._functions = {_name(f, f.name): f for f in proto.functions}
        self._place = place
        self._known: dict[_Name, _Made] = {}
        self._inside: list[_Name] = []

    def own(self, nodes: Iterable[Any]) -> int:
        """The number of nodes as they stand in the file, those of subgraphs included."""
        return sum(1 + sum(self.own(graph.node) for graph in subgraphs(node)) for node in nodes)

    def made(self, nodes: Iterable[Any]) -> _Made:
        """All that calls among these nodes, and inside of them, become."""
        count = size = 0
        for node in nodes:
            parts = [self.made(graph.node) for graph in subgraphs(node)]
            if (name := _name(node, node.op_type)) in self._functions:
                parts.append(self._of(name))
            count += sum(part.nodes for part in parts)
            size += sum(part.size for part in parts)
        return _Made(count, size)

    def _of(self, name: _Name) -> _Made:
        """All that one call of a function becomes."""
        if name in self._known:
            return self._known[name]
        if name in self._inside:
            raise self._wrong(name, "calls itself, so that it has no end")
        if len(self._inside) == _DEEPEST:
            raise self._wrong(name, f"is called by more than {_DEEPEST} others in a row")
        function = self._functions[name]
        self._inside.append(name)
        deeper = self.made(function.node)
        self._inside.pop()
        found = _Made(
            self.own(function.node) + deeper.nodes,
            sum(node.ByteSize() for node in function.node) + deeper.size,
        )
        self._known[name] = found
        return found

    def _wrong(self, name: _Name, what: str) -> DamagedFileError:
        return DamagedFileError(
            f"{self._place}: its function {name[1]!r} {what}. Export the model again, without "
            "functions of its own."
        )


def _name(item: Any, name: str) -> _Name:
    """The name by which a function is called: domain, name, and overload where onnx has those."""
    domain = "" if item.domain == "ai.onnx" else item.domain
    return domain, name, getattr(item, "overload", "")
