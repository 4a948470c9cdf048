"""What each population sends on average over a run, and over samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.calibrate.batches import Batch
from spikewright.conversion.calibration import count, parts
from spikewright.conversion.runner import Runner
from spikewright.engines import Execution
from spikewright.network import Ensemble, Network, Probe
from spikewright.network.network import detached

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion

_RECORDED = 32_000_000  # values of signed populations that are recorded at once


def sent_means(conversion: Conversion, samples: Batch, steps: int, dt: float) -> dict[str, NDArray]:
    """The mean value of every neuron over `steps` steps and all samples, `{layer: (*shape)}`.

    In the unit of the source's values. From spike totals, and where spikes have a sign, which
    totals do not keep, from the outputs at every step.
    """
    populations = conversion.populations()
    signed = {n: e for n, e in populations.items() if e.neuron_type.negative}
    with detached(), Network():
        probes = [Probe(ensemble.neurons) for ensemble in signed.values()]
    program = engines.compile_network(conversion.network, dt, 0, "float32", probes)
    engine = engines.get("auto", program)
    recorded = steps * sum(ensemble.n_neurons for ensemble in signed.values())
    size = min(Runner(conversion.lowered).batch_size(), max(1, _RECORDED // max(1, recorded)))
    counted = [ensemble for name, ensemble in populations.items() if name not in signed]
    sums: dict[str, Any] = dict.fromkeys(populations, 0.0)
    for part in parts(samples, size):
        feeds = {conversion.inputs[name]: array[:, None] for name, array in part.items()}
        execution = Execution(program, engine, count(part), counted)
        outputs = execution.run(steps, feeds, last=True)
        totals = execution.totals()
        for name, ensemble in populations.items():
            if name not in signed:
                sums[name] = sums[name] + totals[ensemble].sum(axis=0) * _height(ensemble, dt)
        for name, output in zip(signed, outputs, strict=True):
            sums[name] = sums[name] + output.sum(axis=(0, 1), dtype=np.float64)
    return {name: total / (steps * count(samples)) for name, total in sums.items()}


def _height(ensemble: Ensemble, dt: float) -> NDArray:
    """The value of one spike in the step in which it is sent."""
    return ensemble.neuron_type.amplitude / (ensemble.rate_scale * dt)
