"""Models of modules that have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright.errors import NetworkError
from spikewright.modelling.networks import (
    BasalGanglia,
    EnsembleArray,
    Thalamus,
    ThresholdingEnsembles,
)
from spikewright.modelling.semantic.effects import (
    N_NEURONS,
    SAYING,
    SYNAPSE,
    Action,
    Effect,
    Mixer,
    Mixture,
    Said,
    connect,
    read_action,
    read_effects,
    resolve,
    unnamed,
)
from spikewright.modelling.semantic.expression import said
from spikewright.modelling.semantic.module import Module, operand
from spikewright.modelling.semantic.state import State
from spikewright.modelling.semantic.vocabulary import End
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network.network import container
from spikewright.network.shapes import count


class Model(Network):
    """A network whose modules get names: `model.memory = State(vocabulary)`.

    Expressions of `ActionSelection` and `Cortical` use these names. A module's name begins with a
    small letter, as names of pointers begin with a capital one, and it must have been made inside
    `with model:`. Raises `NetworkError` for names that are taken.
    """

    def __init__(self, label: str | None = None, seed: int | None = None) -> None:
        self.modules: dict[str, Module] = {}
        super().__init__(label, seed)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            self._name(name, value)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no attribute or module {name!r}")

    def _name(self, name: str, module: Module) -> None:
        if not (name[0].islower() and name.isascii()):
            raise NetworkError(f"a module's name begins with a small letter, got {name!r}")
        if name in self.__dict__ or hasattr(type(self), name):
            raise NetworkError(f"{self!r} has an attribute {name!r} already; choose another name")
        if not any(module is other for other in self.networks):
            raise NetworkError(f"{module!r} is no part of {self!r}; make it inside `with model:`")
        if module.label is None:
            module.rename(name)
        self.modules[name] = module

    def module(self, name: str) -> Module:
        """The module of a name; raises `NetworkError` with the known names."""
        if name not in self.modules:
            there = ", ".join(self.modules) or "none"
            raise NetworkError(f"{self!r} has no module {name!r}; there are: {there}")
        return self.modules[name]


def model_being_filled(what: str) -> Model:
    """The model that something is made in; raises `NetworkError` outside any."""
    model = container(what)
    if not isinstance(model, Model):
        raise NetworkError(
            f"{what} names modules, so make it inside `with model:` of a sw.semantic.Model, not "
            f"of {model!r}"
        )
    return model


class Cortical(Network):
    """Effects that do not depend on a choice: `Cortical("memory = 0.5 * vision * ~KEY")`.

    Several are given one after the other, or separated by commas. Constant and linear values become
    weights of connections with `synapse`; a binding or dot product of two modules becomes a network
    of `n_neurons` a product. Made inside `with model:`, of modules that have names by then.
    """

    def __init__(
        self,
        *effects: str,
        synapse: Any = SYNAPSE,
        n_neurons: int = N_NEURONS,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        model = model_being_filled("Cortical")
        read = [effect for text in effects for effect in read_effects(text)]
        if not read:
            raise NetworkError("Cortical needs effects, such as 'memory = vision'")
        super().__init__(label, seed)
        self.effects = tuple(effect.text for effect in read)
        n = count(n_neurons, f"{self!r}: n_neurons")
        with self:
            for effect in read:
                connect(model.module, effect, n, synapse)


_INHIBITION = -10.0  # times the gain
_GABA = 0.008  # seconds


class ActionSelection(Network):
    """Performs the effects of the action with the largest utility, at every moment.

    An action reads `"utility --> effects"`, as in `"dot(state, A) --> state = B"` or
    `"0.4 --> speech = 0"`; `"0.4 -->"` does nothing. Without actions it is a context,
    `with ActionSelection():`, in which `ifmax(utility, effects)` gives them with operators. The
    utility is a number: an expression of numbers, modules that send one, and `dot(a, b)` of
    pointers and modules. `ganglia` compare utilities, and `thalamus` sends the chosen effects.
    Constant pointers go straight to their target. Outputs of modules go through a gate that all
    other choices close, of `n_neurons_per_channel` a dimension. `synapse` is that of connections
    into targets, `n_neurons_per_product` the neurons for each product where two modules are bound
    or compared.

    Stewart, Choo & Eliasmith (2010). Made inside `with model:`, of modules that have names by then.
    """

    def __init__(
        self,
        *actions: str,
        synapse: Any = 0.01,
        n_neurons_per_channel: int = 50,
        n_neurons_per_product: int = 200,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._find = model_being_filled("ActionSelection").module if actions else unnamed
        read = [read_action(text) for text in actions]
        super().__init__(label, seed)
        self.actions: tuple[str, ...] = ()
        self._synapse = synapse
        self._channel = count(n_neurons_per_channel, f"{self!r}: n_neurons_per_channel")
        self._product = count(n_neurons_per_product, f"{self!r}: n_neurons_per_product")
        if read:
            self._build(read)

    def __enter__(self) -> ActionSelection:
        if self.actions:
            super().__enter__()
        else:
            SAYING.items.append(Said([], []))
        return self

    def __exit__(self, *error: object) -> None:
        if self.actions:
            super().__exit__(*error)
            return
        said = SAYING.items.pop()
        if error[:1] != (None,):
            return
        if said.idle:
            raise NetworkError(
                f"{self!r}: {said.idle[0].text!r} belongs to no action; put it into ifmax(...), or "
                "out of the context to send it always"
            )
        self._build(said.actions)

    def _build(self, read: Sequence[Action]) -> None:
        if not read:
            raise NetworkError(
                f"{self!r} needs actions: ifmax(...) inside, or texts, 'dot(a, B) --> c = D'"
            )
        self.actions = tuple(action.text for action in read)
        name = self.label or "actions"
        with self:
            self.ganglia = BasalGanglia(len(read), label=f"ganglia of {name}")
            self.thalamus = Thalamus(len(read), label=f"thalamus of {name}")
            Connection(self.ganglia.output, self.thalamus.input, _GABA)
            for i, action in enumerate(read):
                self._weigh(i, action)
                self._act(i, action)

    def _weigh(self, i: int, action: Action) -> None:
        """The utility of an action, into the basal ganglia."""
        mixer = Mixer(self._find, self._product, repr(action.text))
        value = mixer.mixture(action.utility, None)
        for node, row in value.terms:
            Connection(node, self.ganglia.input[i], self._synapse, transform=row)
        if value.constant.any():
            Connection(Node(value.constant), self.ganglia.input[i], None)

    def _act(self, i: int, action: Action) -> None:
        """Connections of an action's effects, driven by its channel of the thalamus."""
        gate: Ensemble | None = None
        for effect in action.effects:
            end, value = resolve(self._find, effect, self._product)
            chosen = self.thalamus.output[i]
            if value.constant.any():
                column = value.constant[:, None]
                Connection(chosen, end.node, self._synapse, transform=column)
            if value.terms:
                if gate is None:
                    gate = self._gate(i)
                self._gated(gate, value, end)

    def _gate(self, i: int) -> Ensemble:
        """A population that is active unless action `i` is chosen."""
        with ThresholdingEnsembles(0.3):
            gate = Ensemble(50, 1, label=f"gate of action {i}")
        Connection(Node([1.0], label=f"bias of gate {i}"), gate, None)
        Connection(self.thalamus.output[i], gate, _GABA, transform=-1.0)
        return gate

    def _gated(self, gate: Ensemble, value: Mixture, end: End) -> None:
        """Send a non-constant value through neurons that the gate silences."""
        channel = self._channel_of(end)
        for node, matrix in value.terms:
            Connection(node, channel.input, None, transform=matrix)
        for ensemble in channel.ea_ensembles:
            weights = np.full((ensemble.n_neurons, 1), _INHIBITION)
            Connection(gate, ensemble.neurons, _GABA, transform=weights)
        Connection(channel.output, end.node, self._synapse)

    def _channel_of(self, end: End) -> EnsembleArray:
        if end.vocabulary is None:
            return EnsembleArray(self._channel, 1, label="channel")
        state = State(end.vocabulary, self._channel, label="channel")
        return state.state_ensembles


def ifmax(utility: Any, *effects: Effect) -> Action:
    """Add an action to the surrounding `ActionSelection`: if its utility is largest, its effects.

    `ifmax(dot(state, sym.A), sym.B >> state)`; without effects it does nothing. Raises
    `NetworkError` outside `with ActionSelection():`, where effects are connected at once.
    """
    if not SAYING.items:
        raise NetworkError("ifmax says an action inside `with sw.semantic.ActionSelection():`")
    wrong = [effect for effect in effects if not isinstance(effect, Effect)]
    if wrong:
        raise NetworkError(f"an effect reads `value >> module`, got {wrong[0]!r}")
    value = operand(utility, "a utility")
    text = f"{said(value)} --> {', '.join(effect.text for effect in effects)}".rstrip()
    action = Action(value, tuple(effects), text)
    SAYING.items[-1].actions.append(action)
    return action
