"""Action selection: of several actions, the effects of the one with the largest utility."""

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
    COLLECTING,
    N_NEURONS,
    SYNAPSE,
    Action,
    CollectedEffects,
    Effect,
    Mixer,
    Mixture,
    resolve,
)
from spikewright.modelling.semantic.expression import format_expression
from spikewright.modelling.semantic.module import operand
from spikewright.modelling.semantic.state import State
from spikewright.modelling.semantic.vocabulary import End
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network.shapes import count

_INHIBITION = -10.0  # times the gain
_GABA = 0.008  # seconds


class ActionSelection(Network):
    """Performs the effects of the action with the largest utility, at every moment.

    It is a context, `with ActionSelection():`, in which `ifmax(utility, effects)` gives the
    actions. The utility is a number: an expression of numbers, modules that send one, and
    `dot(a, b)` of pointers and modules. `ganglia` compare utilities, and `thalamus` sends the
    chosen effects. Constant pointers go straight to their target. Outputs of modules go through a
    gate that all other choices close, of `n_neurons_per_channel` a dimension. `synapse` is that of
    connections into targets, `n_neurons_per_product` the neurons for each product where two modules
    are bound or compared. `actions` are the actions as texts. Stewart, Choo & Eliasmith (2010).
    """

    def __init__(
        self,
        synapse: Any = SYNAPSE,
        n_neurons_per_channel: int = 50,
        n_neurons_per_product: int = N_NEURONS,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        self.actions: tuple[str, ...] = ()
        self._synapse = synapse
        self._channel = count(n_neurons_per_channel, f"{self!r}: n_neurons_per_channel")
        self._product = count(n_neurons_per_product, f"{self!r}: n_neurons_per_product")

    def __enter__(self) -> ActionSelection:
        if self.actions:
            super().__enter__()
        else:
            COLLECTING.items.append(CollectedEffects([], []))
        return self

    def __exit__(self, *error: object) -> None:
        if self.actions:
            super().__exit__(*error)
            return
        collected = COLLECTING.items.pop()
        if error[:1] != (None,):
            return
        if collected.idle:
            raise NetworkError(
                f"{self!r}: {collected.idle[0].text!r} belongs to no action; put it into "
                "ifmax(...), or out of the context to send it always"
            )
        self._build(collected.actions)

    def _build(self, actions: Sequence[Action]) -> None:
        if not actions:
            raise NetworkError(f"{self!r} needs actions: ifmax(utility, effects) inside")
        self.actions = tuple(action.text for action in actions)
        name = self.label or "actions"
        with self:
            self.ganglia = BasalGanglia(len(actions), label=f"ganglia of {name}")
            self.thalamus = Thalamus(len(actions), label=f"thalamus of {name}")
            Connection(self.ganglia.output, self.thalamus.input, _GABA)
            for i, action in enumerate(actions):
                self._weigh(i, action)
                self._act(i, action)

    def _weigh(self, i: int, action: Action) -> None:
        """The utility of an action, into the basal ganglia."""
        mixer = Mixer(self._product, repr(action.text))
        value = mixer.mixture(action.utility, None)
        for node, row in value.terms:
            Connection(node, self.ganglia.input[i], self._synapse, transform=row)
        if value.constant.any():
            Connection(Node(value.constant), self.ganglia.input[i], None)

    def _act(self, i: int, action: Action) -> None:
        """Connections of an action's effects, driven by its channel of the thalamus."""
        gate: Ensemble | None = None
        for effect in action.effects:
            end, value = resolve(effect, self._product)
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
    if not COLLECTING.items:
        raise NetworkError("ifmax says an action inside `with sw.semantic.ActionSelection():`")
    wrong = [effect for effect in effects if not isinstance(effect, Effect)]
    if wrong:
        raise NetworkError(f"an effect reads `value >> module`, got {wrong[0]!r}")
    value = operand(utility, "a utility")
    text = f"{format_expression(value)} --> {', '.join(effect.text for effect in effects)}".rstrip()
    action = Action(value, tuple(effects), text)
    COLLECTING.items[-1].actions.append(action)
    return action
