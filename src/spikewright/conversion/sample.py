"""One sample, step by step: every spike, beside what the source computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.conversion.runner import check_run
from spikewright.conversion.stepping import refuse_sequences
from spikewright.engines import Execution
from spikewright.errors import SimulationError
from spikewright.graph import evaluate_all
from spikewright.measure import read_out_at_every_step
from spikewright.network import Ensemble, Network, Probe
from spikewright.network.network import detached
from spikewright.network.shapes import is_whole

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion


@dataclass(frozen=True, eq=False)
class Sample:
    """What a network did for one sample.

    `counts` are net spikes in every step `{layer: (steps, *shape)}`, `means` what each layer sent
    on average and `activations` what the source's layer gives, `{layer: (*shape)}`. `answers` are
    the outputs under the mean readout after each step, `{output: (steps, *out)}`, and `source`
    those of the source, `{output: (*out)}`. `dt` is the length of a step in seconds.
    """

    counts: dict[str, NDArray]
    means: dict[str, NDArray]
    activations: dict[str, NDArray]
    answers: dict[str, NDArray]
    source: dict[str, NDArray]
    dt: float


def watch(
    conversion: Conversion,
    x: Any,
    steps: int,
    dt: float = 0.001,
    *,
    seed: int = 0,
    engine: str = "auto",
) -> Sample:
    """Run one sample for `steps` steps of `dt` seconds, and keep everything.

    `x` is one sample with its batch axis, `(1, *shape)` (of several inputs `{name: array}`), held
    constant. Raises `SimulationError` for anything else, and for settings that no run can have.
    """
    refuse_sequences(conversion.lowered.stepping, "watch")
    check_run(dt, seed, "float32")
    if not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"give a number of steps from 1, got steps={steps!r}")
    arrays = _one(conversion, x)
    spiking = {n: e for n, e in conversion.populations().items() if e.neuron_type.spiking}
    ends = list(conversion.outputs.values())
    with detached(), Network():
        probes = [
            *(Probe(e.neurons, "spike_count") for e in spiking.values()),
            *(Probe(e.neurons) for e in spiking.values()),
            *(Probe(item.neurons if isinstance(item, Ensemble) else item) for item in ends),
        ]
    program = engines.compile_network(conversion.network, dt, seed, "float32", probes)
    execution = Execution(program, engines.get(engine, program), 1)
    feeds = {conversion.inputs[name]: array[:, None] for name, array in arrays.items()}
    found = [kept[0].astype(np.float64) for kept in execution.run(steps, feeds, last=True)]
    sent, raw = found[len(spiking) : 2 * len(spiking)], found[2 * len(spiking) :]
    values = evaluate_all(conversion.canonical, arrays)
    answers = {
        name: _answers(conversion, name, value)
        for name, value in zip(conversion.outputs, raw, strict=True)
    }
    return Sample(
        dict(zip(spiking, found, strict=False)),
        {name: value.mean(axis=0) for name, value in zip(spiking, sent, strict=True)},
        {name: values[name][0] for name in spiking},
        answers,
        {name: values[node][0] for name, node in conversion.canonical.outputs.items()},
        dt,
    )


def _answers(conversion: Conversion, name: str, raw: NDArray) -> NDArray:
    """The output under the mean readout at each step, with its activation on the value read out."""
    means = read_out_at_every_step(raw[None], "mean")[0]
    activation = conversion.lowered.readouts.get(name)
    return means if activation is None else activation.evaluate(means)


def _one(conversion: Conversion, x: Any) -> dict[str, NDArray]:
    """The sample; raises `SimulationError` where it is not one, held constant."""
    arrays = conversion.as_inputs(x)
    for name, node in conversion.inputs.items():
        if arrays[name].shape != (1, *node.shape_out):
            shape = ", ".join(["1", *map(str, node.shape_out)])
            raise SimulationError(
                f"input {name!r} must be one sample, ({shape}), held constant; got shape "
                f"{arrays[name].shape}"
            )
    return arrays
