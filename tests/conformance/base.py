"""The base of every part of the suite: compile and run a network on the engine under test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Engine, Execution, Precision, Program
from spikewright.network import Ensemble, Network, Node, Probe
from spikewright.network.neurons import NeuronType

PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
EPSILON = {"float32": 2.0**-21, "float64": 2.0**-48}
"""Rounding that an engine may add, relative to the sum of magnitudes."""

both = pytest.mark.parametrize("precision", PRECISIONS)


def each(examples: Iterable[Any]) -> Any:
    """Parametrise over named examples."""
    return pytest.mark.parametrize("example", [pytest.param(e, id=e.id) for e in examples])


def turns(cases: Iterable[Any], *others: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Each case with the value of every other argument whose turn it is.

    From round to round the second and all later arguments move on, so that values meet others.
    """
    several = [list(other) for other in others]
    for i, case in enumerate(cases):
        moved = (other[(i + j * (i // len(other))) % len(other)] for j, other in enumerate(several))
        yield case, *moved


def in_turn(
    examples: Iterable[Any],
    name: str = "precision",
    values: Sequence[Any] = PRECISIONS,
    given: str = "example",
) -> Any:
    """Parametrise over named examples, each with the value of an argument whose turn it is."""
    cases = [
        pytest.param(e, value, id=f"{getattr(e, 'id', e)}-{value}")
        for e, value in turns(examples, values)
    ]
    return pytest.mark.parametrize((given, name), cases)


def cells(shape: Any, kind: NeuronType, **given: Any) -> Ensemble:
    """Neurons of a type that have gain 1 and no bias, unless others are given."""
    return Ensemble(shape, None, neuron_type=kind, **{"gain": 1.0, "bias": 0.0, **given})


class Suite:
    """Tests of one engine; subclasses name it in `engine`."""

    engine: str | Engine = "reference"

    def compiled(
        self, network: Network, dt: float, precision: Precision = "float64", seed: int = 0
    ) -> tuple[Program, Engine]:
        """The network as a program, and the engine that is tested."""
        program = engines.compile_network(network, dt, seed, precision)
        chosen = self.engine
        return program, engines.get(chosen, program) if isinstance(chosen, str) else chosen

    def run(
        self,
        network: Network,
        steps: int | Iterable[int],
        *,
        dt: float = 0.125,
        batch: int = 1,
        feeds: Mapping[Node, NDArray] | None = None,
        precision: Precision = "float64",
        block: int | None = None,
        chunk: int | None = None,
        seed: int = 0,
    ) -> dict[Probe, NDArray]:
        """Recordings `(batch, steps, *shape)` by probe; several `steps` are runs one after another.

        `feeds` are `(batch, all steps or 1, *shape)`.
        """
        program, engine = self.compiled(network, dt, precision, seed)
        execution = Execution(program, engine, batch, block=block, chunk=chunk)
        parts = []
        done = 0
        for count in [steps] if isinstance(steps, int) else steps:
            part = {
                n: v if v.shape[1] == 1 else v[:, done : done + count]
                for n, v in (feeds or {}).items()
            }
            parts.append(execution.run(count, part))
            done += count
        arrays = [np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)]
        return dict(zip((r.probe for r in program.recordings), arrays, strict=True))

    def is_exact(self) -> bool:
        """Whether the engine promises bit-identical results."""
        with Network() as empty:
            Node([0.0])
        return self.compiled(empty, 1.0)[1].exact
