"""Responses of populations to constant values, and the values decoded from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import numbers_or_nan
from spikewright.engines.reference.linear import matrix_of
from spikewright.engines.representation import Representation
from spikewright.errors import BuildError
from spikewright.network import Connection, Ensemble
from spikewright.network.shapes import as_real, brief
from spikewright.network.transforms import flatten
from spikewright.simulator import Simulator

__all__ = ["decoded_function", "response_curves", "tuning_curves"]

_POINTS = 101  # along each of one or two axes
_PLANE = 31


def tuning_curves(
    simulator: Simulator, ensemble: Ensemble, points: ArrayLike | None = None
) -> tuple[NDArray, NDArray]:
    """Outputs of every neuron of a built ensemble at represented vectors held constant.

    `points` are `(m, dimensions)`; left out, they lie evenly from `-radius` to `radius`, in one
    dimension or on a grid in two. Returns them and the neurons' outputs, `(m, neurons)`: rates in
    Hz times the amplitude, the values that decoders weight, without firing-rate scale.

    Raises `BuildError` naming the ensemble where it represents no vector, has no neurons, or has
    more than two dimensions and no points are given.
    """
    built = _represented(simulator, ensemble)
    if points is None:
        return (grid := _grid(ensemble)), built.activities(grid)
    given = _as_points(points, ensemble)
    return given, built.activities(given)


def response_curves(
    simulator: Simulator, ensemble: Ensemble, inputs: ArrayLike | None = None
) -> tuple[NDArray, NDArray]:
    """Outputs of every neuron along its own encoder, at `radius x input` in that direction.

    `inputs` are `(m,)`, evenly from -1 to 1 where they are left out. Returns them and the outputs
    `(m, neurons)` as `tuning_curves` does, and raises as it does.
    """
    built = _represented(simulator, ensemble)
    x = np.linspace(-1, 1, _POINTS) if inputs is None else as_real(inputs).ravel()
    lengths = np.linalg.norm(built.encoders, axis=1)
    current = x[:, None] * lengths * built.gain + built.bias
    return x, built.outputs(current)


def decoded_function(
    simulator: Simulator, connection: Connection, points: ArrayLike | None = None
) -> tuple[NDArray, NDArray, NDArray]:
    """Values that a connection decodes at points held constant, beside the wanted values.

    `points` are `(m, dimensions)`, left out those at which its decoders were solved. Returns
    `(points, wanted, decoded)`, the last two `(m, values)`, the connection's transform applied to
    both. Raises `BuildError` where nothing is decoded, or where wanted values are an array, which
    has none at other points.
    """
    decoded = simulator.program.decodings.get(connection)
    if decoded is None or not isinstance(connection.pre_obj, Ensemble):
        raise BuildError(f"{connection!r}: nothing is decoded")
    built = _represented(simulator, connection.pre_obj)
    x = decoded.eval_points if points is None else _as_points(points, connection.pre_obj)
    if points is not None and isinstance(connection.function, np.ndarray):
        raise BuildError(f"{connection!r}: its wanted values are given at its own points alone")
    matrix = matrix_of(flatten(connection.transform), connection.sent_shape)
    found = built.activities(x) @ decoded.decoders.T
    return x, connection.targets(x) @ matrix.T, found @ matrix.T


def _represented(simulator: Simulator, ensemble: Ensemble) -> Representation:
    built: Representation | None = simulator.program.representations.get(ensemble)
    if built is None:
        raise BuildError(f"{ensemble!r} is not in {simulator.network!r}")
    if ensemble.is_direct or not ensemble.represents:
        what = "has no neurons (Direct)" if ensemble.is_direct else "represents no vector"
        raise BuildError(f"{ensemble!r} {what}, and so no such curves")
    return built


def _grid(ensemble: Ensemble) -> NDArray:
    """Points from `-radius` to `radius`, `(m, 1)` or on a grid `(m, 2)`."""
    radius = ensemble.radius
    if ensemble.dimensions == 1:
        return np.linspace(-radius, radius, _POINTS)[:, None]
    if ensemble.dimensions == 2:
        axis = np.linspace(-radius, radius, _PLANE)
        return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    raise BuildError(
        f"{ensemble!r} represents {ensemble.dimensions} dimensions: give points=, "
        f"(m, {ensemble.dimensions}), or look at response_curves"
    )


def _as_points(points: ArrayLike, ensemble: Ensemble) -> NDArray:
    given = numbers_or_nan(points)
    if given.ndim == 1 and ensemble.dimensions == 1:
        given = given[:, None]
    if given.ndim != 2 or given.shape[1] != ensemble.dimensions:
        raise BuildError(
            f"{ensemble!r}: points must be (m, {ensemble.dimensions}) numbers, got {brief(points)}"
        )
    return given
