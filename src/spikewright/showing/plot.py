"""Pictures in one call each: spikes of a sample or of probes, a sweep, firing rates.

Each returns the `matplotlib` axes of its first panel; `axes.figure` is the whole picture, which a
notebook shows, and `axes.figure.savefig("picture.png")` keeps. They need the extra `report`. Their
data and drawing functions are in `spikewright.report.figures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spikewright._base.arguments import is_array
from spikewright.conversion import Conversion, watch
from spikewright.errors import SimulationError
from spikewright.measure import Evaluation, Run, neuron_rates
from spikewright.network import Probe
from spikewright.records import Record
from spikewright.report import figures
from spikewright.report.figures.picture import on_screen
from spikewright.simulator import Simulator
from spikewright.study.result import StudyResult

__all__ = ["raster", "rates", "sweep"]


def raster(
    source: Conversion | Simulator,
    x: Any,
    steps: int | None = None,
    dt: float = 0.001,
    *,
    seed: int = 0,
    engine: str = "auto",
    sample: int | None = None,
    neurons: int = 64,
) -> Any:
    """Spikes over time, a dot each: of one sample of a conversion, or of a simulator's probes.

    Of a conversion a panel a layer, and the output as it tends to the source's: `x` is the sample
    `(*shape)`, or `(1, *shape)`; with several inputs `{name: array}`. It runs for `steps` steps of
    `dt` seconds, left out for those of its code, or 32. Where layers start one after the other,
    time is that of the network. `raster(simulator, probe)` draws what a probe of neurons recorded,
    or several probes, a panel each; with a batch that of one `sample`. A panel has the `neurons`
    with the most spikes, and says of how many. Raises `SimulationError` for anything else, and
    where nothing spikes, and `MissingExtraError` without matplotlib.
    """
    if isinstance(source, Simulator):
        return _drawn(_recorded(source, x, sample, neurons))
    length = source.coding.run_steps(steps) or 32
    found = watch(source, _one(source, x), length, dt, seed=seed, engine=engine)
    _require(found.counts, "no layer of the network spikes: convert with spiking=True")
    info = figures.raster_info(found, {"output": next(iter(found.answers))})
    return _drawn(info.thinned(len(info.spikes), neurons, len(info.running_mean), np.inf))


def sweep(found: StudyResult | Iterable[Record]) -> Any:
    """Quality and spikes of a sweep against the firing-rate scale, with the choice marked.

    `found` is what `sw.sweep` returned, or its records. Raises `MissingExtraError` without
    matplotlib, and `ValueError` for records that are not of a sweep.
    """
    records = found.records if isinstance(found, StudyResult) else found
    return _drawn(figures.sweep_info(records))


def rates(measured: Run | Evaluation) -> Any:
    """The distribution of the firing rates of each layer's neurons, of a run or an evaluation.

    Raises `SimulationError` where no layer spikes, and for an evaluation that was loaded from a
    file, which holds its records alone; `MissingExtraError` without matplotlib.
    """
    found = neuron_rates(measured)
    _require(found, "no layer spikes, or the evaluation was loaded from a file")
    return _drawn(figures.rates_info(found))


def _recorded(
    simulator: Simulator, probes: Any, sample: int | None, neurons: int
) -> figures.ChartInfo:
    """Spikes that probes of a simulator recorded, of one sample."""
    chosen = [probes] if isinstance(probes, Probe) else list(probes)
    size = simulator.batch_size
    _require(chosen, "name a probe of neurons")
    if (sample is None) != (size is None) or not 0 <= (sample or 0) < (size or 1):
        raise SimulationError(
            f"sample= is for simulators with a batch_size, got {sample!r}"
            if size is None
            else f"name one of {size} samples with sample=, from 0, got {sample!r}"
        )
    times: dict[str, Any] = {}
    for number, probe in enumerate(chosen, 1):
        found = simulator.spike_times(probe)
        name = probe.label or getattr(probe.obj, "ensemble", probe).label or f"population {number}"
        name = f"{name} ({number})" if name in times else name
        times[name] = found if sample is None else found[sample]
    steps = {simulator.data[probe].shape[0 if size is None else 1] for probe in chosen}
    (recorded,) = steps
    _require(recorded, "nothing was recorded: run the simulator first")
    before = simulator.n_steps - recorded
    return figures.spike_times_info(times, recorded, simulator.dt, before, neurons)


def _drawn(info: figures.Info) -> Any:
    """The first axes of a figure that is shown."""
    with on_screen():
        return figures.draw(info).axes[0]


def _require(found: Any, reason: str) -> None:
    if not found:
        raise SimulationError(f"there is nothing to draw: {reason}")


def _one(conversion: Conversion, x: Any) -> Any:
    """A sample with its batch axis, which may be left out."""
    if isinstance(x, Mapping):
        return {name: _batched(conversion, name, value) for name, value in x.items()}
    return _batched(conversion, next(iter(conversion.inputs)), x)


def _batched(conversion: Conversion, name: str, value: Any) -> Any:
    array = value if is_array(value) else np.asarray(value)
    node = conversion.inputs.get(name)
    return array[None] if node is not None and tuple(array.shape) == node.shape_out else array
