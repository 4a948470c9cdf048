"""The parts of a network that a user may have changed since it was compiled."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from spikewright.network import Connection, Ensemble, Network, Node


def fingerprint(network: Network) -> tuple:
    """Equal for two states of a network exactly if it need not be compiled again."""
    return (
        tuple((_Same(net), net.seed, net.dt) for net in (network, *network.all_networks)),
        tuple(_description(ensemble) for ensemble in network.all_ensembles),
        tuple(_link(connection) for connection in network.all_connections),
        tuple(_node(node) for node in network.all_nodes),
    )


def _node(node: Node) -> tuple:
    return _Same(node), node.restart_every, node.at_once, _value(node.output)


class _Same:
    """An object as a key: equal to itself alone, and alive as long as the key is."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.item is self.item

    def __hash__(self) -> int:
        return id(self.item)


def _description(ensemble: Ensemble) -> tuple:
    """Everything of an ensemble that a program is compiled from."""
    given = (
        ensemble.gain,
        ensemble.bias,
        ensemble.max_rates,
        ensemble.intercepts,
        ensemble.rate_scale,
        ensemble.initial_voltage,
        *ensemble.initial_state.values(),
        ensemble.encoders,
        ensemble.eval_points,
        ensemble.noise,
    )
    plain = (
        ensemble.neuron_type,
        ensemble.seed,
        ensemble.restart_every,
        ensemble.radius,
        ensemble.n_eval_points,
        ensemble.normalize_encoders,
        tuple(ensemble.initial_state),
    )
    return (_Same(ensemble), *plain, *map(_value, given))


def _link(connection: Connection) -> tuple:
    """Everything of a connection that a program is compiled from, but for its ends."""
    decoding = (connection.function, connection.eval_points, connection.solver)
    rules = tuple(_Same(rule.learning_rule_type) for rule in connection.learning_rules)
    learned = tuple((name, _value(values)) for name, values in connection.learned.items())
    return (
        _Same(connection),
        connection.synapse,
        _value(connection.delay),
        _Same(connection.transform),
        *map(_value, decoding),
        connection.scale_eval_points,
        connection.seed,
        rules,
        learned,
    )


def _value(item: Any) -> Any:
    """Something comparable that changes when an attribute, or an array in it, does."""
    if isinstance(item, np.ndarray):
        return item.shape, blake2b(item.tobytes()).digest()
    return item if item is None or isinstance(item, float | str | tuple) else _Same(item)
