"""The demonstration: a trained network that ships here, at several firing-rate scales.

The network was trained by `scripts/train_digits.py` on scikit-learn's handwritten digits and comes
as ONNX; what it never saw is what the demonstration classifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._optional import require
from spikewright._progress import progress_bar
from spikewright.conversion import Conversion
from spikewright.errors import MissingExtraError, SimulationError
from spikewright.measure import Run, accuracy, activity, wilson_interval
from spikewright.network import Ensemble, Probe
from spikewright.pipeline import convert
from spikewright.records import Record, select
from spikewright.report import figures
from spikewright.simulator import Simulator

MODEL = Path(__file__).with_name("assets") / "digits.onnx"
"""The shipped network: two convolutions and a dense layer, 8 x 8 pixels in, ten digits out."""

SCALES = (1.0, 2.0, 5.0, 10.0, 50.0)
STEPS = 64
SAMPLE_SCALE = 5.0
"""The scale at which one digit's spikes are shown."""

_HELD_OUT = 360  # of 1797 digits
_SPLIT_SEED = 0


@dataclass(frozen=True)
class Demonstration:
    """What a demonstration measured.

    `records` holds, for each scale in `how`, accuracy at the last step and of the mean, firing rate
    (Hz, over all neurons) and spikes per image, and the source's accuracy. `sample` is one digit's
    run and `agreement` the largest relative difference, over layers, between the source model and
    its rate network.
    """

    records: tuple[Record, ...]
    sample: figures.RasterInfo
    agreement: float

    @property
    def conclusion(self) -> str:
        """What the numbers show, in one sentence."""
        source = select(self.records, "source accuracy")[0]
        means = sorted(
            select(self.records, "accuracy", readout="mean"), key=lambda r: float(r.how["scale"])
        )
        near = [r for r in means if r.value >= source.value - 0.01]
        if not near:
            return (
                "No scale here comes within one point of the source: spikes are too few, and more "
                "steps or a larger scale would bring it nearer."
            )
        first, last = near[0].how["scale"], means[-1].how["scale"]
        spikes = select(self.records, "spikes per sample", scale=first)[0].value
        text = (
            f"At scale {first:g} the mean readout is within one point of the source, for "
            f"{spikes:.0f} spikes an image"
        )
        if last > first and spikes > 0:
            ratio = select(self.records, "spikes per sample", scale=last)[0].value / spikes
            text += f"; scale {last:g} spends {ratio:.0f} times as many"
        return f"{text}: the weights never change, the firing rates do."


def digits() -> tuple[tuple[NDArray, NDArray], tuple[NDArray, NDArray]]:
    """`(images, labels)` to train on, then those held out, split by a fixed permutation.

    Images are `(n, 1, 8, 8)` float32, raw pixels of 0 to 16. Raises `MissingExtraError` without
    scikit-learn.
    """
    data = require("sklearn.datasets").load_digits()
    images = data.images.astype(np.float32)[:, None]
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    held, rest = order[:_HELD_OUT], order[_HELD_OUT:]
    return (images[rest], data.target[rest]), (images[held], data.target[held])


def held_out(limit: int | None = None) -> tuple[NDArray, NDArray]:
    """Images `(n, 1, 8, 8)` and labels `(n,)` that the shipped network was not trained on."""
    if limit is not None and limit < 1:
        raise SimulationError(f"a demonstration needs at least one image, got limit={limit!r}")
    x, y = digits()[1]
    return x[:limit], y[:limit]


def run(
    scales: Sequence[float] = SCALES,
    steps: int = STEPS,
    dt: float = 0.001,
    limit: int | None = None,
    seed: int = 0,
    engine: str = "auto",
    progress: bool = True,
) -> Demonstration:
    """Convert the shipped network at each scale and measure it on the held-out digits.

    Every scale runs for `steps` steps of `dt` seconds on the first `limit` images (default: all).
    Raises `MissingExtraError` where the `demo` extra is not installed.
    """
    _require_extras()
    x, y = held_out(limit)
    rate = convert(MODEL)
    agreement = max(rate.verify(x).values())
    truth = _source_values(rate, x)
    records = [_source_accuracy(truth, y)]
    with progress_bar(len(scales), progress, "firing-rate scales") as advance:
        for scale in scales:
            conversion = convert(MODEL, spiking=True, scale_firing_rates=scale)
            measured = conversion.run(x, steps, dt, seed, engine=engine, progress=False)
            records += _measure(conversion, measured, y, scale)
            advance(1)
    sample = _sample(x[0], truth[0], int(y[0]), steps, dt, seed, engine)
    return Demonstration(tuple(records), sample, agreement)


def write_pictures(demonstration: Demonstration, folder: str | Path) -> list[Path]:
    """Draw accuracy and spikes against scale, and the sample's raster; each as PNG beside its CSV.

    Makes the folder where it is missing; returns the four paths. Raises `MissingExtraError` without
    matplotlib.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    curve = figures.scale_curve_info(demonstration.records)
    return [
        *figures.save(figures.draw_scale_curve(curve), curve, place / "accuracy_and_spikes.png"),
        *figures.save(
            figures.draw_raster(demonstration.sample), demonstration.sample, place / "raster.png"
        ),
    ]


def _require_extras() -> None:
    """One sentence for all that is missing, before anything is computed."""
    missing = [name for name in ("onnx", "sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the demonstration needs {', '.join(missing)}, which {'are' if missing[1:] else 'is'} "
            "not installed. Install with: pip install 'spikewright[demo]'"
        )


def _source_values(conversion: Conversion, x: NDArray) -> NDArray:
    """The source model's own output, `(batch, 10)`, from ONNX's evaluator."""
    if conversion.activations is None:
        raise TypeError("a conversion of a model file knows its source model")
    (node,) = conversion.graph.outputs.values()
    return conversion.activations(conversion.as_inputs(x))[node]


def _source_accuracy(values: NDArray, labels: NDArray) -> Record:
    hits = values.argmax(axis=1) == labels
    interval = wilson_interval(float(hits.sum()), len(hits))
    return Record("source accuracy", float(hits.mean()), "fraction", len(hits), interval)


def _measure(conversion: Conversion, run: Run, labels: NDArray, scale: float) -> list[Record]:
    """Accuracy under both readouts, mean rate over all neurons, spikes per image."""
    how = {"scale": float(scale)}
    spikes = next(
        r for r in activity(run) if r.name == "spikes per sample" and "layer" not in r.how
    )
    neurons = sum(ensemble.n_neurons for ensemble in conversion.populations().values())
    rate = replace(
        spikes, name="firing rate", value=spikes.value / (neurons * run.steps * run.dt), unit="Hz"
    )
    found = [accuracy(run, labels, "last"), accuracy(run, labels, "mean"), rate, spikes]
    return [replace(record, how={**record.how, **how}) for record in found]


def _sample(
    image: NDArray, truth: NDArray, label: int, steps: int, dt: float, seed: int, engine: str
) -> figures.RasterInfo:
    """One image's spikes in every layer, and the output as it builds up beside the source's."""
    conversion = convert(MODEL, spiking=True, scale_firing_rates=SAMPLE_SCALE)
    populations = conversion.populations()
    (output,) = conversion.outputs.values()
    (stimulus,) = conversion.inputs.values()
    if isinstance(output, Ensemble):
        raise TypeError("the shipped network ends in a sum, not in neurons")
    with conversion.network:
        spikes = {n: Probe(e.neurons, "spike_count") for n, e in populations.items()}
        values = Probe(output)
    with Simulator(conversion.network, dt, seed, engine=engine, progress=False) as simulator:
        simulator.run_steps(steps, {stimulus: image})
        counts = {name: simulator.data[probe] for name, probe in spikes.items()}
        over_time: Any = simulator.data[values]
    settings = {"scale": SAMPLE_SCALE, "digit": label}
    return figures.raster_info(counts, over_time, truth, dt, settings)
