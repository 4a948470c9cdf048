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
from spikewright.calibrate.rules import MinimumError
from spikewright.conversion import Conversion, Sample, watch
from spikewright.conversion.diagnosis import Diagnosis
from spikewright.errors import MissingExtraError, SimulationError
from spikewright.measure import (
    Evaluation,
    accuracy,
    neuron_rates,
    wilson_interval,
)
from spikewright.pipeline import convert
from spikewright.records import Record, select
from spikewright.report import figures, write_html
from spikewright.report.over_time import powers_of_two

MODEL = Path(__file__).with_name("assets") / "digits.onnx"
"""The shipped network: two convolutions and a dense layer, 8 x 8 pixels in, ten digits out."""

SCALES = (1.0, 2.0, 5.0, 10.0, 50.0)
STEPS = 64
SAMPLE_SCALE = 5.0
"""The scale at which one digit's spikes are shown."""

RULE_STEPS = (1, 2, 4, 8, 16)
"""Steps that a rule may choose thresholds for: the fewest at which enough is right are chosen."""

ALLOWED = 0.005
"""Accuracy, a fraction, that the chosen setting may lose on the digits to train on."""

ENERGY_TABLE = "45nm-int8"
"""The cost table under which settings are compared."""

_HELD_OUT = 360  # of 1797 digits
_SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a rule chose from the digits to train on, measured on those held out."""

    rule: MinimumError
    conversion: Conversion
    evaluation: Evaluation
    diagnosis: Diagnosis
    sample: figures.RasterInfo

    @property
    def call(self) -> str:
        """The lines that make it again."""
        return (
            "import spikewright as sw\n"
            "from spikewright import demo\n"
            "\n"
            "(x, y), _ = demo.digits()\n"
            "sw.convert(\n    demo.MODEL,\n    spiking=True,\n    max_spikes_per_step=1,\n"
            f"    scale_firing_rates=sw.{_shown(self.rule)},\n    calibration=x,\n)"
        )


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What a demonstration measured.

    `records` holds, for each scale in `how`, accuracy at the last step and of the mean, firing rate
    (Hz, over all neurons), spikes and energy per image, the same of the chosen setting with its
    `rule`, and the source's accuracy. `sample` is one digit's run and `agreement` the largest
    relative difference, over layers, between the source model and its rate network.
    """

    records: tuple[Record, ...]
    sample: figures.RasterInfo
    agreement: float
    chosen: Chosen | None = None

    @property
    def conclusion(self) -> str:
        """What the numbers show, in words."""
        return " ".join(filter(None, [self._of_scales(), self._of_rule()]))

    def _of_scales(self) -> str:
        source = select(self.records, "source accuracy")[0]
        means = [r for r in select(self.records, "accuracy", readout="mean") if "scale" in r.how]
        means.sort(key=lambda r: float(r.how["scale"]))
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

    def _of_rule(self) -> str:
        found = [r for r in select(self.records, "accuracy", readout="mean") if "rule" in r.how]
        if not found:
            return ""
        (answer,) = found
        rule, steps = answer.how["rule"], answer.how["steps"]
        (spikes,) = select(self.records, "spikes per sample", rule=rule)
        return (
            f"One scale a layer, chosen from the digits to train on by {rule} with at most one "
            f"spike a step, gives {100 * answer.value:.1f} % after {steps} "
            f"step{'s' * (steps != 1)}, for {spikes.value:.0f} spikes an image."
        )


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
    """Convert the shipped network at each scale, and by a rule; measure it on the held-out digits.

    Every scale runs for `steps` steps of `dt` seconds on the first `limit` images (default: all).
    Raises `MissingExtraError` where the `demo` extra is not installed.
    """
    _require_extras()
    x, y = held_out(limit)
    rate = convert(MODEL)
    agreement = max(rate.verify(x).values())
    truth = _source_values(rate, x)
    records = [_source_accuracy(truth, y)]
    settings: dict[str, Any] = {"seed": seed, "engine": engine}
    with progress_bar(len(scales) + 1, progress, "settings") as advance:
        for scale in scales:
            conversion = rate.again(spiking=True, scale_firing_rates=scale)
            measured = conversion.evaluate(x, y, steps, dt, progress=False, **settings)
            records += _measure(conversion, measured, {"scale": float(scale)})
            advance(1)
        rule, found = choose(rate, steps, dt, seed, engine)
        chosen = _examined(rule, found, (x, y), dt, settings)
        records += _measure(found, chosen.evaluation, {"rule": _shown(rule)})
        advance(1)
    shown = rate.again(spiking=True, scale_firing_rates=SAMPLE_SCALE)
    sample = _raster(
        watch(shown, x[:1], steps, dt, **settings),
        {"scale": f"{SAMPLE_SCALE:g}", "digit": int(y[0])},
    )
    return Demonstration(tuple(records), sample, agreement, chosen)


def choose(
    rate: Conversion, steps: int, dt: float = 0.001, seed: int = 0, engine: str = "auto"
) -> tuple[MinimumError, Conversion]:
    """The fewest of `RULE_STEPS` that lose at most `ALLOWED` on the digits to train on.

    For each of them, up to `steps` of `dt` seconds, `MinimumError` sets one scale a layer, from the
    same digits, for neurons that send at most one spike a step; the most steps where none is
    enough. Digits held out are not looked at.
    """
    (x, y), _ = digits()
    seen = rate.calibrate(x, progress=False)
    source = float((_source_values(rate, x).argmax(axis=1) == y).mean())
    for count in (n for n in RULE_STEPS if n <= steps):
        rule = MinimumError(steps=count, dt=dt, per="layer")
        found = rate.again(
            spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, calibration=seen
        )
        measured = found.run(x, count, dt, seed, engine=engine, progress=False)
        if accuracy(measured, y, "mean").value >= source - ALLOWED:
            break
    return rule, found


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


def write_report(demonstration: Demonstration, folder: str | Path) -> Path:
    """Write `report.html`, a page about the chosen setting beside the hand-set scales.

    Makes the folder where it is missing. Raises `FileExistsError` where a file of that name is no
    report.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    chosen = demonstration.chosen
    if chosen is None:
        raise SimulationError("this demonstration chose no setting, so there is none to report on")
    return write_html(
        place / "report.html",
        chosen.evaluation.records,
        title="Handwritten digits, in spikes",
        trace=chosen.conversion.trace,
        diagnosis=chosen.diagnosis.records,
        search=_settings(demonstration.records),
        rates=neuron_rates(chosen.evaluation),
        raster=chosen.sample,
        reproduce=["spikewright demo", chosen.call],
        facts={"model": MODEL.name, "rule": _shown(chosen.rule), **chosen.evaluation.settings},
    )


def _settings(records: Sequence[Record]) -> list[Record]:
    """Records of all settings, each with its name, read out as the mean."""
    found = []
    for record in records:
        how = record.how
        if how.get("readout", "mean") != "mean":
            continue
        if "rule" in how:
            name = f"by rule, {how['steps']} steps"
            found.append(replace(record, how={**how, "setting": name, "chosen": True}))
        elif "scale" in how:
            name = f"scale {how['scale']:g}, {how['steps']} steps"
            found.append(replace(record, how={**how, "setting": name}))
        else:
            found.append(record)
    return found


def _require_extras() -> None:
    """One sentence for all that is missing, before anything is computed."""
    missing = [name for name in ("onnx", "sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the demonstration needs {', '.join(missing)}, which {'are' if missing[1:] else 'is'} "
            "not installed. Install with: pip install 'spikewright[demo]'"
        )


def _source_values(conversion: Conversion, x: NDArray) -> NDArray:
    """The source model's own output, `(batch, 10)`."""
    if conversion.source is None:
        raise TypeError("a conversion of a model file knows its source model")
    (values,) = conversion.source.call(conversion.as_inputs(x)).values()
    return values


def _source_accuracy(values: NDArray, labels: NDArray) -> Record:
    hits = values.argmax(axis=1) == labels
    interval = wilson_interval(float(hits.sum()), len(hits))
    return Record("source accuracy", float(hits.mean()), "fraction", len(hits), interval)


def _measure(conversion: Conversion, evaluation: Evaluation, how: dict[str, Any]) -> list[Record]:
    """Accuracy under both readouts, mean rate over all neurons, spikes and energy per image."""
    steps, dt = evaluation.settings["steps"], evaluation.settings["dt"]
    last = [r for r in evaluation.records if r.how.get("steps") == steps and "layer" not in r.how]
    (spikes,) = select(last, "spikes per sample")
    neurons = sum(ensemble.n_neurons for ensemble in conversion.populations().values())
    rate = replace(
        spikes, name="firing rate", value=spikes.value / (neurons * steps * dt), unit="Hz"
    )
    found = [
        *(evaluation.accuracy(readout) for readout in ("last", "mean")),
        rate,
        spikes,
        *select(last, "energy", network="spiking", table=ENERGY_TABLE),
    ]
    return [replace(record, how={**record.how, **how}) for record in found]


def _shown(rule: MinimumError) -> str:
    """The rule, without what is its default."""
    dt = "" if rule.dt == MinimumError.dt else f", dt={rule.dt:g}"
    return f"MinimumError(steps={rule.steps}{dt}, per={rule.per!r})"


def _examined(
    rule: MinimumError,
    found: Conversion,
    held: tuple[NDArray, NDArray],
    dt: float,
    settings: dict[str, Any],
) -> Chosen:
    """The chosen network, measured at every step, diagnosed, and watched for one digit."""
    x, y = held
    steps = rule.steps
    evaluation = found.evaluate(
        x, y, steps, dt, at=powers_of_two(steps), progress=False, **settings
    )
    diagnosis = found.diagnose(x, y, steps, dt, progress=False, **settings)
    sample = watch(found, x[:1], steps, dt, **settings)
    return Chosen(rule, found, evaluation, diagnosis, _raster(sample, {"digit": int(y[0])}))


def _raster(sample: Sample, settings: dict[str, Any]) -> figures.RasterInfo:
    """One image's spikes in every layer, and the output as it builds up beside the source's."""
    ((name, answers),) = sample.answers.items()
    return figures.raster_info(
        sample.counts,
        answers,
        sample.source[name],
        sample.dt,
        settings,
        sample.activations,
        sample.means,
    )
