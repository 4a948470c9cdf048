"""Keys of `spiking`: layers by name, or all with an activation or neuron type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright._base.keywords import meant
from spikewright.errors import ConversionError, Refusal
from spikewright.graph.layers import Activation, Layer
from spikewright.lower.choices import rate_type
from spikewright.lower.node_functions import is_function
from spikewright.network.neurons import Elementwise, NeuronType


def chosen_keys(
    spiking: object, layers: Mapping[str, Layer], named: Callable[[str], frozenset[str]]
) -> dict[str, Any]:
    """The key of `spiking` that means each of `layers`, those with neurons, where one does.

    `named` maps a name of the source to those of its layers; a name wins over an activation. Raises
    `ConversionError` for keys that match nothing, for two that give one layer different neurons,
    and for a name of both a layer and an activation.
    """
    if not isinstance(spiking, Mapping):
        return {}
    kinds = {name: _kinds(layer) for name, layer in layers.items()}
    keys = [
        _Key(key, named(key) if isinstance(key, str) else frozenset(), kinds) for key in spiking
    ]
    refusals = [refusal for key in keys for refusal in key.refusals()]
    refusals += _contradictions(keys, spiking)
    if refusals:
        raise ConversionError(refusals)
    alike = {
        name: next(kind for kind in own if kind in spiking)
        for name, own in kinds.items()
        if any(kind in spiking for kind in own)
    }
    return {**alike, **{name: key.key for key in keys for name in key.named}}


def _kinds(layer: Layer) -> list[Any]:
    """The keys that mean a layer and all like it, most specific first."""
    rate = rate_type(layer)
    if isinstance(layer, Activation):
        name = layer.function
        return [name] if is_function(layer) else [rate, type(rate), name]
    return [layer.kind] if is_function(layer) else [rate, type(rate), layer.kind]


@dataclass(frozen=True)
class _Key:
    """A key, the layers of its name, and for each layer the keys of its kind."""

    key: Any
    named: frozenset[str]
    kinds: Mapping[str, Sequence[Any]]

    def refusals(self) -> Iterator[Refusal]:
        alike = {name for name, own in self.kinds.items() if self.key in own}
        if not (self.named or alike):
            yield self._unknown()
        elif self.named and alike and self.named != alike:
            reason = "it is the name of a layer, and of an activation that other layers have"
            yield Refusal(self.key, "key of spiking", reason, _apart(self.kinds[min(alike)][0]))

    def _unknown(self) -> Refusal:
        texts = {kind for own in self.kinds.values() for kind in own if isinstance(kind, str)}
        activations = sorted(texts)
        known = (
            f"It has the activations {', '.join(activations) or 'none'}; layers with neurons are "
            f"{', '.join(self.kinds) or 'none'}"
        )
        hint = meant(str(self.key), [*activations, *self.kinds])
        reason = "the model has no such activation, and no layer with neurons of that name"
        return Refusal(str(self.key), "key of spiking", reason, f"{hint} {known}".lstrip())


def _apart(kind: Any) -> str:
    """The advice on naming an activation rather than the layer of the same name."""
    if not isinstance(kind, NeuronType):
        return "Give the layer another name"
    shown = repr(kind) if isinstance(kind, Elementwise) else type(kind).__name__
    return f"Give {{sw.{shown}: ...}} for the activation, or the layer another name"


def _contradictions(keys: Sequence[_Key], spiking: Mapping[Any, Any]) -> Iterator[Refusal]:
    first: dict[str, _Key] = {}
    for key in keys:
        for name in sorted(key.named):
            other = first.setdefault(name, key)
            if spiking[other.key] != spiking[key.key]:
                reason = f"it and {other.key!r} are one population, with different values"
                yield Refusal(key.key, "key of spiking", reason, "Give one of them")
