"""The built parameters of ensembles and connections, as a simulator's `data` gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.parameters import Parameters
from spikewright.engines.program import Program
from spikewright.engines.reference.linear import matrix_of
from spikewright.engines.representation import Decoded, Representation
from spikewright.errors import BuildError
from spikewright.network import Connection, Ensemble, NeuronsView, ObjView, output_shape
from spikewright.network.learning.rule import matrix_place
from spikewright.network.transforms import flatten


class EnsembleParameters:
    """The parameters of an ensemble as built, read only.

    `gain`, `bias`, `amplitude`, `max_rates` (Hz) and `initial_voltage` (spikes) have one value a
    neuron in the ensemble's shape, the firing-rate scale applied. `intercepts` are the inputs at
    which neurons begin to respond. `encoders` and `scaled_encoders` (`encoders gain / radius`) are
    `(neurons, dimensions)`, `eval_points` `(points, dimensions)` with the radius applied.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        parameters: Parameters | None,
        represented: Representation,
        learned_encoders: NDArray | None = None,
    ) -> None:
        self._ensemble, self._parameters, self._represented = ensemble, parameters, represented
        self._learned_encoders = learned_encoders

    def _built(self, name: str) -> NDArray:
        if self._parameters is None:
            raise BuildError(f"{self._ensemble!r} has no neurons (Direct), and so no {name}")
        return np.broadcast_to(getattr(self._parameters, name), self._ensemble.shape)

    @property
    def gain(self) -> NDArray:
        """The factor of a neuron's input, the firing-rate scale applied."""
        return self._built("gain")

    @property
    def bias(self) -> NDArray:
        """The constant part of a neuron's current, scaled."""
        return self._built("bias")

    @property
    def amplitude(self) -> NDArray:
        """The factor of a spike's or a rate's height, divided by the firing-rate scale."""
        return self._built("amplitude")

    @property
    def max_rates(self) -> NDArray:
        """Rate in Hz at an input of 1, scaled."""
        return self._built("max_rates")

    @property
    def initial_voltage(self) -> NDArray:
        """The voltage before the first step, in spikes."""
        return self._built("initial_voltage")

    @property
    def intercepts(self) -> NDArray:
        """The input at which a neuron begins to respond; a firing-rate scale does not change it."""
        self._built("gain")
        found = self._represented
        intercepts = self._ensemble.neuron_type.intercepts(found.gain, found.bias)
        return intercepts.reshape(self._ensemble.shape)

    @property
    def encoders(self) -> NDArray:
        """`(neurons, dimensions)`, of length 1 unless the ensemble says otherwise, or learned."""
        if self._learned_encoders is not None:
            return self._learned_encoders * self._ensemble.radius
        return self._represented.encoders

    @property
    def scaled_encoders(self) -> NDArray:
        """`encoders gain / radius`, `(neurons, dimensions)`, with the scaled gain."""
        learned = self._learned_encoders
        weights = self._represented.input_weights if learned is None else learned
        return weights if self._parameters is None else weights * self.gain.reshape(-1, 1)

    @property
    def eval_points(self) -> NDArray:
        """`(points, dimensions)`, the radius applied."""
        return self._represented.eval_points


class ConnectionParameters:
    """The parameters of a connection as built.

    `weights` are those of the transform, as given and never scaled. For a decoded connection they
    are `transform . decoders`, `(values, neurons)`; with `solver.weights`, the matrix between
    neurons with the receivers' unscaled gain. `decoders` `(values, neurons)`, `solver_info` and
    `eval_points` are None where nothing is decoded.
    """

    def __init__(
        self,
        connection: Connection,
        given: NDArray,
        decoded: Decoded | None,
        post: Representation | None,
    ) -> None:
        self._connection, self._given = connection, given
        self._held = given is connection.learned.get("weights")
        self._decoded, self._post = decoded, post
        self.decoders = None if decoded is None else decoded.decoders
        self.solver_info: dict[str, Any] | None = None if decoded is None else decoded.info
        self.eval_points = None if decoded is None else decoded.eval_points

    @property
    def weights(self) -> NDArray:
        """See the class."""
        decoded = self._decoded
        if decoded is None or self._held:
            return self._given
        if decoded.full is not None and self._post is not None:
            return self._post.gain[:, None] * decoded.full
        transform = flatten(self._connection.transform)
        return matrix_of(transform, self._connection.sent_shape) @ decoded.decoders


def ensemble_parameters(program: Program, ensemble: Ensemble) -> EnsembleParameters:
    """The built parameters of an ensemble of a program."""
    represented = program.representations[ensemble]
    parameters, learned = program.parameters.get(ensemble), program.learned_encoders.get(ensemble)
    return EnsembleParameters(ensemble, parameters, represented, learned)


def connection_parameters(program: Program, connection: Connection) -> ConnectionParameters:
    """The built parameters of a connection of a program."""
    post = connection.post_obj
    into = program.representations[post] if isinstance(post, Ensemble) else None
    decoded = program.decodings.get(connection)
    return ConnectionParameters(connection, program.weights[connection], decoded, into)


def full_weights(program: Program, connection: Connection) -> NDArray:
    """`gain . encoders / radius . transform . decoders`, `(receivers, senders)`.

    Receivers are the neurons that a connection reaches, or a node's values; senders the neurons it
    decodes, or the values of `pre`. Factors that the connection lacks are left out.
    """
    chain, post = connection.chain(), connection.post_obj
    decoded, held = program.decodings.get(connection), connection.learned.get("weights")
    if held is not None and held is not program.weights[connection]:
        held = None  # learned after this program was made
    if decoded is not None and decoded.full is not None and isinstance(post, Ensemble):
        unscaled = program.representations[post].gain[:, None]
        matrix = decoded.full if held is None else _without(held, unscaled)
        return ensemble_parameters(program, post).gain.reshape(-1, 1) * matrix
    if held is not None:
        matrix = _placed(connection, held)
    elif decoded is not None:
        matrix = matrix_of(chain, connection.sent_shape) @ decoded.decoders
    elif connection.function is not None:
        raise BuildError(f"{connection!r}: its function is computed exactly, it has no weights")
    else:
        direct = isinstance(connection.pre_obj, Ensemble)
        shape = connection.sent_shape if direct else output_shape(connection.pre_obj)
        matrix = matrix_of(chain, shape)
    if isinstance(post, Ensemble):
        return ensemble_parameters(program, post).scaled_encoders @ matrix
    if isinstance(post, NeuronsView):
        return ensemble_parameters(program, post.ensemble).gain.reshape(-1, 1) * matrix
    return matrix


def learned_values(program: Program, owner: Connection | Ensemble, weights: NDArray) -> NDArray:
    """Weights `(..., out, in)` of a learned operator in the units of `Connection.learned`."""
    if isinstance(owner, Ensemble):
        return weights * owner.radius
    unit = program.learned[owner].unit
    return weights if unit is None else weights * unit


def _without(weights: NDArray, gain: NDArray) -> NDArray:
    """Weights divided by gains; 0 where a gain is 0."""
    return np.divide(weights, gain, out=np.zeros_like(weights), where=gain != 0)


def _placed(connection: Connection, held: NDArray) -> NDArray:
    """Learned weights as a full matrix from the whole sender to the whole receiver."""
    post, place = connection.post, matrix_place(connection)
    if connection.decodes or place is None:
        if not isinstance(post, ObjView):
            return held
        shape = connection.receiver_shape
        return matrix_of(tuple(flatten(post.place(shape)[1])), post.numbers(shape).shape) @ held
    before = matrix_of(place.before, output_shape(connection.pre_obj))
    return matrix_of(place.after, (len(held),)) @ held @ before
