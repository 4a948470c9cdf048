"""The result of every front end, and the builder that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from numpy.typing import NDArray

from spikewright._base.samples import TreePath
from spikewright._base.schema import check_types
from spikewright.advice import advise
from spikewright.errors import GraphError, ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.reading.rounding import with_rounded
from spikewright.graph import Graph, GraphNode, check_finite, prune, unique_name
from spikewright.graph.layers import Input, Layer, Shape

Values = Mapping[str, NDArray]
COARSEST_FIRST = ("bfloat16", "float16", "float32", "float64")
"""The precisions that a source may compute in."""


@dataclass(frozen=True)
class SourceNote:
    """An omission in reading a layer, by which the graph differs from the source."""

    layer: str
    text: str


@dataclass(frozen=True, eq=False)
class Source:
    """A source model, read.

    `graph` computes the same as the model. `activations` runs the *source framework* on
    `{input name: (batch, *shape)}` and returns `{node name: value}` for every node whose value is
    observable there (at least the outputs). `call` is the framework's own call of the whole model,
    as a user makes it, on a whole batch: `{output name: (batch, *shape)}` of those outputs that the
    model itself has, none where the graph lacks one of its inputs. It shares no walk and no layout
    with the reader, so it shows when a wrong axis was taken for the batch.

    `verify` compares with both, and allows for rounding in their `precision`; that of `call` is
    `call_precision` where it is another. `ran` names the program that ran the model. `notes` list
    the omissions of reading, which both leave out too. `loaded` is the model of a file, None of
    any other.
    """

    graph: Graph
    framework: str
    activations: Callable[[Values], dict[str, NDArray]]
    call: Callable[[Values], dict[str, NDArray]]
    ran: Callable[[], str]
    precision: str = "float32"
    call_precision: str = ""
    notes: tuple[SourceNote, ...] = ()
    loaded: Any = None


def shape_made(layer: Layer, *shapes: Shape) -> Shape:
    """Unbatched shape of a layer's output for inputs of these shapes.

    Raises `GraphError` where they do not fit, and for an object that is no layer or has numbers
    where arrays belong: readers may be anyone's.
    """
    if not isinstance(layer, Layer):
        raise GraphError(f"{layer!r} is no layer of spikewright.graph.layers")
    try:
        check_types(layer)
    except TypeError as error:
        raise GraphError(str(error)) from None
    for name, array in layer.arrays().items():
        if array.dtype.kind not in "biuf":
            raise GraphError(f"{layer.kind}.{name} holds {array.dtype}, which are no real numbers")
    return layer.output_shape(*shapes)


@dataclass
class GraphBuilder:
    """Collects nodes and refusals while a front end walks a model.

    A value that could not be read is None: layers that read it are still looked at, so that every
    reason is listed, but produce None themselves. `met` has the kind of every layer of the source
    that was looked at, read or not, by name and in order. `notes` are the omissions of readers.
    """

    nodes: list[GraphNode] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    met: dict[str, str] = field(default_factory=dict)
    notes: list[SourceNote] = field(default_factory=list)
    _cuts: dict[Refusal, Mapping[str, str]] = field(default_factory=dict, repr=False)
    _roundings: dict[str, Refusal] = field(default_factory=dict, repr=False)

    def meet(self, layer: str, kind: str) -> None:
        """Note that this layer of the source is looked at, whether or not it can be read."""
        self.met.setdefault(layer, kind)

    def input(
        self, wanted: str, shape: Sequence[int], place: TreePath | None = None, whole: bool = False
    ) -> str:
        """Add an input of this unbatched shape; returns its name.

        `place` is the path to it in the arguments of the source's own call, if not its name. If it
        is `whole`, the source takes only whole numbers there. Raises `UnsupportedLayerError` for an
        extent below 1.
        """
        layer = Input(tuple(int(n) for n in shape), None if place == (wanted,) else place, whole)
        name = self.add(wanted, layer, source=wanted)
        if name is None:
            raise UnsupportedLayerError(self.refusals, self.nodes, self.met)
        return name

    def add(
        self,
        wanted: str,
        layer: Layer,
        *inputs: str | None,
        source: str = "",
        kind: str = "",
        location: str = "",
    ) -> str | None:
        """Add a node and return its name, or None where an input is unknown or shapes do not fit.

        `wanted` is made unique; `source` and `kind` are the source layer's name and kind.
        """
        self.meet(source or wanted, kind or layer.kind)
        names = [name for name in inputs if name is not None]
        if len(names) < len(inputs):
            return None
        try:
            shape = shape_made(layer, *(self.shapes[name] for name in names))
        except GraphError as error:
            self.refuse(source or wanted, kind or layer.kind, str(error), location=location)
            return None
        made = self._made(wanted, layer, names, source, kind)
        if made is not None:
            self.shapes[made] = shape
        return made

    def _made(
        self, wanted: str, layer: Layer, names: Sequence[str], source: str, kind: str
    ) -> str | None:
        """Add a node for a layer that fits its inputs; returns its name."""
        name = unique_name(wanted, self.shapes)
        self.nodes.append(GraphNode(name, layer, tuple(names), source, kind))
        return name

    def take_back(self, count: int) -> None:
        """Remove all nodes but the first `count`, where a layer is read in another way."""
        for node in self.nodes[count:]:
            del self.shapes[node.name]
            self._roundings.pop(node.name, None)
        del self.nodes[count:]

    def refuse(
        self,
        layer: str,
        kind: str,
        reason: str,
        options: str = "",
        location: str = "",
        cut: Mapping[str, str] | None = None,
        callable: bool = False,
    ) -> None:
        """Remember a refusal of a layer, which is `callable` if it could be run as it is."""
        self.remember(Refusal(layer, kind, reason, options, location, callable=callable), cut)

    def remember(self, refusal: Refusal, cut: Mapping[str, str] | None = None) -> None:
        """Remember a refusal; `build` raises for all of them together.

        For a tail, such as an argmax, `cut` lists the nodes that it reads, by their names for
        `outputs`. With these and the other readable nodes as outputs, the tail is cut off.
        """
        self.meet(refusal.layer, refusal.kind)
        if refusal not in self.refusals:
            self.refusals.append(refusal)
            if cut is not None:
                self._cuts[refusal] = cut

    def refuse_output(self, name: str, reason: str, options: str = "") -> None:
        """Remember that a value cannot be an output; others that can be are kept without it."""
        self.refuse(name, "output", reason, options, cut={})

    def advise(self, refusal: Refusal, advice: str) -> None:
        """Add a sentence to the options of a refusal, unless it stands there."""
        if advice in refusal.options:
            return
        options = ". ".join(filter(None, [refusal.options.rstrip("."), advice]))
        made = replace(refusal, options=options)
        self.refusals[self.refusals.index(refusal)] = made
        if refusal in self._cuts:
            self._cuts[made] = self._cuts.pop(refusal)

    def rounds(self, node: str, refusal: Refusal) -> None:
        """Note the refusal of a node that rounds, unless it is a part of a rounded activation."""
        self._roundings[node] = refusal

    def build(self, outputs: Mapping[str, str | None]) -> Graph:
        """The graph of the nodes that the outputs need.

        Raises `UnsupportedLayerError` listing every refusal, or `GraphError` naming a layer whose
        parameters are not finite.
        """
        known = {name: node for name, node in outputs.items() if node is not None}
        if self._roundings:
            self._recognise_rounding(known)
        if self.refusals:
            raise UnsupportedLayerError(self._with_cuts(known), self.nodes, self.met)
        lost = [name for name, node in outputs.items() if node is None]
        if lost:
            raise ReadError(
                f"outputs: {lost} have no value of their own. Name layers that read them."
            )
        nodes = prune(self.nodes, known)
        check_finite(nodes)
        return Graph(nodes, known)

    def notes_of(self, graph: Graph) -> tuple[SourceNote, ...]:
        """The notes on layers that a graph has kept, or has parts of, each once."""
        sources = {node.source for node in graph}
        kept = {"/".join(s.split("/")[:n]) for s in sources for n in range(1, s.count("/") + 2)}
        return tuple(dict.fromkeys(note for note in self.notes if note.layer in kept))

    def _recognise_rounding(self, outputs: Mapping[str, str]) -> None:
        """Make activations of operations that round, and refuse what is no such activation."""
        refused = self.refusals or not outputs
        whole = self.nodes if refused else prune(self.nodes, outputs)
        self.nodes, failed = with_rounded(whole, outputs)
        for name, why in failed.items():
            refusal = self._roundings[name]
            self.refusals.append(replace(refusal, reason=f"{refusal.reason}, and {why}"))

    def _with_cuts(self, known: Mapping[str, str]) -> list[Refusal]:
        """The refusals; those of tails say which outputs, beside the known ones, cut them off."""
        kept: dict[str, str] = {}
        for name, node in chain(known.items(), *(cut.items() for cut in self._cuts.values())):
            kept.setdefault(node, name)
        keeping = tuple(kept.values())
        return [_keeping(r, keeping) if r in self._cuts else r for r in self.refusals]


def _keeping(refusal: Refusal, outputs: tuple[str, ...]) -> Refusal:
    """A refusal that outputs without it avoid; an only output has to be another."""
    if outputs or refusal.kind != "output":
        return replace(refusal, keeping=outputs)
    options = [refusal.options.rstrip("."), advise("no other output")]
    return replace(refusal, options=". ".join(filter(None, options)))
