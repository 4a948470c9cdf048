"""What a simulator has recorded, built and learned, by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from spikewright.engines.build_info import (
    connection_parameters,
    ensemble_parameters,
    learned_values,
)
from spikewright.network import Connection, Ensemble, Probe
from spikewright.network.summary import listed, of_connection, of_ensemble


class SimulationData(Mapping[Any, Any]):
    """Recordings and built parameters of a simulator, by object.

    `data[probe]` is `(steps, *shape)`, with a batch `(batch, steps, *shape)`; `data[ensemble]` has
    `gain`, `bias`, `amplitude`, `max_rates` (Hz) and `initial_voltage` (spikes), the firing-rate
    scale applied, one value a neuron in the ensemble's shape (read only), and `intercepts`,
    `encoders`, `scaled_encoders` and `eval_points`; `data[connection]` has `weights`, `decoders`,
    `solver_info` and `eval_points`.
    """

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator

    def __getitem__(self, key: Any) -> Any:
        program = self._simulator.program
        if isinstance(key, Probe) and key in self._simulator._recorded:
            return self._simulator._probe_data(key)
        if isinstance(key, Ensemble) and key in program.representations:
            return ensemble_parameters(program, key)
        if isinstance(key, Connection) and key in program.weights:
            return connection_parameters(program, key)
        raise KeyError(
            f"{key!r} is no probe, ensemble or connection of {self._simulator.network!r}"
        )

    def __iter__(self) -> Iterator[Any]:
        program = self._simulator.program
        yield from self._simulator._recorded
        yield from program.representations
        yield from program.weights

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        simulator, program = self._simulator, self._simulator.program
        entries: list[tuple[Any, str]] = [
            (probe, f"{self[probe].shape}") for probe in simulator._recorded
        ]
        entries += [(ensemble, of_ensemble(ensemble)) for ensemble in program.representations]
        entries += [(connection, of_connection(connection)) for connection in program.weights]
        return listed(f"Data of {simulator.n_steps} steps of {simulator.network!r}:", entries)


class LearnedWeights(Mapping[Connection | Ensemble, NDArray]):
    """The present learned weights.

    `learned[connection]` are the connection's weights, in the form of `data[connection].weights`,
    `learned[ensemble]` its encoders, in that of `data[ensemble].encoders`, where a rule changes
    them; with a batch `(batch, ...)`, as every sample learns alone. `data` shows how they began.
    """

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator

    def __getitem__(self, key: Connection | Ensemble) -> NDArray:
        program = self._simulator.program
        if key not in program.learned:
            raise KeyError(f"nothing is learned at {key!r}")
        weights = self._simulator._execution.learned()[program.learned[key]]
        values = learned_values(program, key, weights)
        return values[0] if self._simulator.batch_size is None else values

    def __iter__(self) -> Iterator[Connection | Ensemble]:
        return iter(self._simulator.program.learned)

    def __len__(self) -> int:
        return len(self._simulator.program.learned)
