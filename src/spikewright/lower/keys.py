"""Keys of settings that are given by layer: everything that a user may call a layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from spikewright._base.arguments import refuse
from spikewright._base.formatting import label_to_name
from spikewright._base.options import did_you_mean
from spikewright.errors import ConversionError, NetworkError, Refusal, listed, short_name
from spikewright.graph import Graph
from spikewright.graph.layers import Activation, Layer, ParametricReLU
from spikewright.lower.choices import function_name, rate_type
from spikewright.lower.node_functions import is_function
from spikewright.network.neurons import Elementwise, NeuronType

T = TypeVar("T")

DEFAULT = "default"
"""The key of a dict by layer that means all layers that no other key names."""


def kinds_of(layer: Layer) -> list[Any]:
    """The keys that mean a layer and all like it, most specific first."""
    if is_function(layer):
        return [layer.function if isinstance(layer, Activation) else layer.kind]
    if not isinstance(layer, Activation | ParametricReLU):
        return []
    rate = rate_type(layer)
    return [rate, type(rate), layer.function if isinstance(layer, Activation) else layer.kind]


@dataclass(frozen=True)
class LayerKeys:
    """The layers that a setting may be given for, and what a user may call them.

    `names` maps every name of a layer of the source to the members that it means; names without the
    kind that is printed with them, and names of models and modules around layers, are found from
    it. `kinds` has the keys that mean a member and all like it, most specific first. `nameless` are
    the names of functions in code, which mean all layers with that operation. Where a setting is
    about particular layers, names are `exact`: one that is an activation's too means its layer.
    `what` is the word for a member in messages.
    """

    names: Mapping[str, frozenset[str]]
    kinds: Mapping[str, Sequence[Any]]
    nameless: frozenset[str] = frozenset()
    exact: bool = False
    what: str = "layer with neurons"
    _bare: dict[str, frozenset[str]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, members in self.names.items():
            bare = label_to_name(name)
            if bare not in self.names:
                self._bare[bare] = self._bare.get(bare, frozenset()) | members

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the members, in order."""
        return tuple(self.kinds)

    def among(self, members: Collection[str], what: str) -> LayerKeys:
        """The exact keys of some of the members."""
        kinds = {name: own for name, own in self.kinds.items() if name in members}
        names = {name: found & frozenset(kinds) for name, found in self.names.items()}
        names |= {name: frozenset({name}) for name in kinds}
        return LayerKeys({n: f for n, f in names.items() if f}, kinds, exact=True, what=what)

    def named(self, key: Any) -> frozenset[str]:
        """The members whose layer has this name."""
        if not isinstance(key, str):
            return frozenset()
        return self.names.get(key) or self._bare.get(key) or frozenset()

    def inside(self, key: Any) -> frozenset[str]:
        """The members inside a model or module of this name."""
        if not isinstance(key, str) or not key:
            return frozenset()
        around = (f"{key}.", f"{key}/")
        found = (members for name, members in self.names.items() if name.startswith(around))
        return frozenset[str]().union(*found)

    def alike(self, key: Any) -> frozenset[str]:
        """The members with this activation or neuron type."""
        return frozenset(name for name, own in self.kinds.items() if any(key == one for one in own))

    def selected(self, keys: Iterable[Any]) -> dict[str, None]:
        """The members that each of some keys means, in order; a layer's name wins.

        Raises `KeyError` with the sentence about the first key that means none.
        """
        found: dict[str, None] = {}
        for key in keys:
            members = self.named(key) | self.inside(key) or self.alike(key)
            if not members:
                raise KeyError(self.unknown(key))
            found.update((name, None) for name in self.members if name in members)
        return found

    def unknown(self, key: Any) -> str:
        """The sentences about a key that means no member: the nearest that does, and all."""
        kinds = sorted({k for own in self.kinds.values() for k in own if isinstance(k, str)})
        hint = did_you_mean(str(key), [*self.members, *kinds, *self.names, *self._bare])
        activations = f"It has the activations {', '.join(kinds)}; " if kinds else ""
        layers = self.what.replace("layer", "layers", 1)
        known = f"{activations}{layers} are {listed(self.members) or 'none'}"
        return f"{hint} {known[:1].upper()}{known[1:]}".lstrip()


def chosen_keys(
    given: Mapping[Any, Any], layers: LayerKeys, what: str, same: Callable[[Any, Any], bool]
) -> dict[str, Any]:
    """The key of a dict by layer that means each member, where one does.

    A layer's name wins over that of several layers, this over one of a module around it, this over
    an activation, and all of them over `default`. Raises `ConversionError` for keys that mean
    nothing, for two names that give one layer different values (which are not the `same`), and for
    a name of both a layer and an activation.
    """
    keys = [_Key.of(key, layers) for key in given if not _is_rest(key, layers)]
    exact = frozenset[str]().union(*(key.named for key in keys))
    refusals = [refusal for key in keys for refusal in key.refusals(what, layers, exact)]
    refusals += _contradictions(keys, given, what, same)
    if refusals:
        raise ConversionError(refusals)
    found = dict.fromkeys(layers.members, DEFAULT) if len(keys) < len(given) else {}
    alike = [key.key for key in keys if key.alike]
    for name, own in layers.kinds.items():
        found |= [(name, kind) for kind in own if kind in alike][:1]
    for key in sorted(keys, key=lambda key: len(str(key.key))):
        found |= dict.fromkeys(key.inside, key.key)
    for key in sorted(keys, key=lambda key: -len(key.named)):
        found |= dict.fromkeys(key.named, key.key)
    return found


def by_layer(
    value: Any, layers: LayerKeys, what: str, convert: Callable[[Any], T], rest: Any = None
) -> dict[str, T]:
    """One converted value for each member, from one for all or from a dict by layer.

    Members that no key means have that of `default`, else `rest`. Raises `ConversionError` as
    `chosen_keys` does, and for values for which `convert` raises a `NetworkError`.
    """
    if not isinstance(value, Mapping):
        try:
            return dict.fromkeys(layers.members, convert(value))
        except NetworkError as error:
            raise refuse(what, str(error)) from None
    value = {function_name(key): item for key, item in value.items()}
    keys = chosen_keys(value, layers, what, _same)
    converted: dict[Any, T] = {}
    refusals = []
    for key, item in value.items():
        try:
            converted[key] = convert(item)
        except NetworkError as error:
            refusals.append(Refusal(_text(key), f"value of {what}", str(error)))
    if refusals:
        raise ConversionError(refusals)
    return {
        name: converted[keys[name]] if name in keys else convert(rest) for name in layers.members
    }


def keys_of_nodes(graph: Graph, members: Iterable[str], what: str) -> LayerKeys:
    """The exact keys of layers of a graph: their names, those of the source, and aliases."""
    kinds = {name: kinds_of(graph[name].layer) if name in graph else [] for name in members}
    names = {name: frozenset({name}) for name in kinds}
    for node in graph:
        if node.name in kinds and node.source and node.source not in kinds:
            names[node.source] = names.get(node.source, frozenset()) | {node.name}
    for alias, name in graph.aliases.items():
        if name in kinds:
            names.setdefault(alias, frozenset({name}))
    return LayerKeys(names, kinds, exact=True, what=what)


@dataclass(frozen=True)
class _Key:
    """A key, and the members that it means by name, from around them, or with others alike."""

    key: Any
    named: frozenset[str]
    inside: frozenset[str]
    alike: frozenset[str]

    @classmethod
    def of(cls, key: Any, layers: LayerKeys) -> _Key:
        """The key among these layers; a function in code has no name but its operation."""
        alike, named = layers.alike(key), layers.named(key)
        if named and layers.exact:
            alike = frozenset()
        if alike and key in layers.nameless:
            return cls(key, frozenset(), frozenset(), alike)  # parts of it may be "relu.copies"
        inside = layers.inside(key) | named
        if inside == named:
            return cls(key, named, frozenset(), alike)
        return cls(key, frozenset(), inside, frozenset())

    def refusals(self, what: str, layers: LayerKeys, exact: frozenset[str]) -> Iterator[Refusal]:
        """The refusal of a key that means nothing, or both its layer and others without a name."""
        if not (self.named or self.alike or self.inside):
            reason = f"the model has no such activation, and no {layers.what} of that name"
            yield Refusal(_text(self.key), f"key of {what}", reason, layers.unknown(self.key))
        elif self.named and self.alike - exact:
            reason = "it is the name of a layer, and of an activation that other layers have"
            kind = layers.kinds[min(self.alike)][0]
            yield Refusal(_text(self.key), f"key of {what}", reason, _apart(kind))


def _contradictions(
    keys: Sequence[_Key], given: Mapping[Any, Any], what: str, same: Callable[[Any, Any], bool]
) -> Iterator[Refusal]:
    first: dict[str, _Key] = {}
    for key in keys:
        for name in sorted(key.named):
            other = first.setdefault(name, key)
            if (
                other.named == key.named
                and other is not key
                and not same(given[other.key], given[key.key])
            ):
                reason = f"it and {other.key!r} are one population, with different values"
                yield Refusal(_text(key.key), f"key of {what}", reason, "Give one of them")


def _is_rest(key: Any, layers: LayerKeys) -> bool:
    """Whether a key means all other layers: none has that name."""
    return isinstance(key, str) and key == DEFAULT and not layers.named(key)


def _apart(kind: Any) -> str:
    """The advice on naming an activation rather than the layer of the same name."""
    if not isinstance(kind, NeuronType):
        return "Give the layer another name"
    type_name = repr(kind) if isinstance(kind, Elementwise) else type(kind).__name__
    return f"Give {{sw.{type_name}: ...}} for the activation, or the layer another name"


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second)


def _text(key: Any) -> str:
    """A key in a message: names as they are, layers of a framework without their contents."""
    return key if isinstance(key, str) else short_name(repr(key))
