"""The demonstration: a trained network that ships here, at several firing-rate scales.

The network was trained by `scripts/train_digits.py` on scikit-learn's handwritten digits and comes
as ONNX. The demonstration classifies the digits that were held out of its training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.files import check_target, make_folder, path_of
from spikewright._base.optional import require
from spikewright.choosing.rules import MinimumError
from spikewright.conversion import Conversion, convert, watch
from spikewright.diagnosis.findings import Diagnosis
from spikewright.errors import MissingExtraError, SimulationError
from spikewright.lower.trace import suppress_warnings
from spikewright.measure import Evaluation, accuracy, neuron_rates
from spikewright.records import Record
from spikewright.report import figures, write_html
from spikewright.report.page import PAGE
from spikewright.report.tables import powers_of_two
from spikewright.study.point import OperatingPoint
from spikewright.study.result import StudyResult
from spikewright.study.sweep import sweep

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

_CURVE, _RASTER, _REPORT = "accuracy_and_spikes.png", "raster.png", "report.html"
_HELD_OUT = 360  # of 1797 digits
_SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class ChosenSetting:
    """A setting that a rule chose from the training digits, measured on those held out."""

    rule: MinimumError
    conversion: Conversion
    sweep: StudyResult
    evaluation: Evaluation
    diagnosis: Diagnosis
    sample: figures.RasterInfo

    @property
    def reading(self) -> OperatingPoint:
        """The reading after the steps that the rule is for, under the mean readout."""
        where = self.rule.steps, "mean"
        return next(p for p in self.sweep.points if (p.steps, p.readout) == where)

    @property
    def conclusion(self) -> str:
        """The accuracy of the setting and its spikes per image, in words."""
        accuracy, steps = self.reading.scores[0].value, self.rule.steps
        return (
            f"One scale a layer, chosen from the digits to train on by {self.rule} with at most "
            f"one spike a step, gives {100 * accuracy.value:.1f} % after {steps} "
            f"step{'s' * (steps != 1)}, for {self.reading.spikes:.0f} spikes an image."
        )

    @property
    def call(self) -> str:
        """The lines that make it again."""
        return (
            "import spikewright as sw\n"
            "from spikewright import demo\n"
            "\n"
            "(x, y), _ = demo.digits()\n"
            "sw.convert(\n    demo.MODEL,\n    spiking=True,\n    max_spikes_per_step=1,\n"
            f"    scale_firing_rates=sw.{_rule_text(self.rule)},\n    calibration=x,\n)"
        )


@dataclass(frozen=True, eq=False)
class Demonstration:
    """The measurements of a demonstration.

    `sweep` has every scale, `sample` is one digit's run and `agreement` the largest relative
    difference, over layers, between the source model and its rate network; `chosen` is a setting
    that a rule chose.
    """

    sweep: StudyResult
    sample: figures.RasterInfo
    agreement: float
    chosen: ChosenSetting

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of the sweep, and those of the chosen setting."""
        source = [r for r in self.chosen.sweep.records if "scale" not in r.how]
        own = [r for r in self.chosen.sweep.records if r not in source]
        return (*self.sweep.records, *own)

    @property
    def rule_is_cheapest(self) -> bool:
        """True if the rule's setting keeps the sweep's limit with the fewest spikes."""
        best, reading = self.sweep.best, self.chosen.reading
        near = self.sweep.limit is None or reading.lost <= self.sweep.limit
        return near and (best is None or reading.price("spikes") < best.price("spikes"))

    @property
    def conclusion(self) -> str:
        """The conclusions of the sweep and of the chosen setting, in words, the cheapest first."""
        if not self.rule_is_cheapest:
            return f"{self.sweep.conclusion} {self.chosen.conclusion}"
        of_scales = self.sweep.conclusion
        return (
            f"The cheapest row is the one by rule. {self.chosen.conclusion} Of the scales alone: "
            f"{of_scales[0].lower()}{of_scales[1:]}"
        )

    @property
    def call(self) -> str:
        """The lines that make the cheapest setting again; empty where there is none."""
        return self.chosen.call if self.rule_is_cheapest else self.sweep.call


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

    Every scale runs for `steps` steps of `dt` seconds on the first `limit` images (default: all),
    in `sw.sweep`.
    Raises `MissingExtraError` where the `demo` extra is not installed.
    """
    _require_extras()
    x, y = held_out(limit)
    rate = convert(MODEL)
    agreement = max(rate.verify(x).values())
    settings: dict[str, Any] = {"seed": seed, "engine": engine}
    swept = {"dt": dt, "progress": progress, **settings}
    found = sweep(MODEL, x, y, scales=list(scales), steps=steps, **swept)
    rule, chosen = choose(rate, steps, dt, seed, engine)
    of_rule = sweep(
        MODEL, x, y, scales=rule, steps=powers_of_two(rule.steps), max_spikes_per_step=1,
        calibration=chosen.arguments["calibration"], **swept,
    )  # fmt: skip
    shown = rate.replace(spiking=True, scale_firing_rates=SAMPLE_SCALE)
    digit = {"digit": int(y[0])}
    details = {"scale": f"{SAMPLE_SCALE:g}", **digit}
    sample = figures.raster_info(watch(shown, x[:1], steps, dt, **settings), details, x[0])
    few, quiet = rule.steps, {"progress": False, **settings}
    return Demonstration(
        found,
        sample,
        agreement,
        ChosenSetting(
            rule,
            chosen,
            of_rule,
            evaluation=chosen.evaluate(x, y, few, dt, at=powers_of_two(few), **quiet),
            diagnosis=chosen.diagnose(x, y, few, dt, **quiet),
            sample=figures.raster_info(watch(chosen, x[:1], few, dt, **settings), digit, x[0]),
        ),
    )


@suppress_warnings()
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
    source = accuracy(rate.run(x, steps=1, progress=False), y).value
    for count in (n for n in RULE_STEPS if n <= steps):
        rule = MinimumError(steps=count, dt=dt, per="layer")
        found = rate.replace(
            spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, calibration=seen
        )
        measured = found.run(x, count, dt, seed=seed, engine=engine, progress=False)
        if accuracy(measured, y, "mean").value >= source - ALLOWED:
            break
    return rule, found


def check_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """The folder, if pictures and report may be written there; it need not exist.

    Raises `ExistingFileError` naming the first file that is no older one of a demonstration, unless
    `overwrite`.
    """
    place = path_of(folder)
    if not place.is_dir():
        return place
    for name, info in ((_CURVE, figures.SweepInfo), (_RASTER, figures.RasterInfo)):
        figures.check_picture(place / name, info.columns, overwrite=overwrite)
    check_target(place / _REPORT, PAGE, overwrite=overwrite)
    return place


def write_pictures(
    demonstration: Demonstration, folder: str | Path, *, overwrite: bool = False
) -> list[Path]:
    """Draw accuracy and spikes against scale, and the sample's raster; each as PNG beside its CSV.

    Makes the folder where it is missing; returns the four paths. Raises `MissingExtraError` without
    matplotlib, and as `check_folder` does.
    """
    place = check_folder(make_folder(folder), overwrite=overwrite)
    curve, raster = figures.sweep_info(demonstration.sweep.records), demonstration.sample
    return [
        *figures.save(figures.draw(curve), curve, place / _CURVE, overwrite=overwrite),
        *figures.save(figures.draw(raster), raster, place / _RASTER, overwrite=overwrite),
    ]


def write_report(
    demonstration: Demonstration, folder: str | Path, *, overwrite: bool = False
) -> Path:
    """Write `report.html`, a page about the chosen setting beside the hand-set scales.

    Makes the folder where it is missing. Raises `ExistingFileError` where a file of that name is no
    report, unless `overwrite`.
    """
    place = make_folder(folder)
    chosen = demonstration.chosen
    return write_html(
        place / _REPORT,
        chosen.evaluation.records,
        title="Handwritten digits, in spikes",
        trace=chosen.conversion.trace,
        diagnosis=chosen.diagnosis.records,
        sweep=_unmarked(demonstration.sweep.records),
        search=_settings(demonstration),
        rates=neuron_rates(chosen.evaluation),
        raster=chosen.sample,
        reproduce=["spikewright demo", chosen.call],
        facts={"model": MODEL.name, "rule": _rule_text(chosen.rule), **chosen.evaluation.settings},
        overwrite=overwrite,
    )


def _settings(demonstration: Demonstration) -> list[Record]:
    """Accuracy and costs of every setting; the setting of the rule is marked as chosen."""
    name = f"by rule, {demonstration.chosen.rule.steps} steps"
    reading = demonstration.chosen.reading
    own = [
        replace(r, how={**r.how, "setting": name, "chosen": True})
        for r in reading.records
        if not r.name.endswith(" drop")
    ]
    return [*_unmarked(demonstration.sweep.trade_off), *own]


def _unmarked(records: Iterable[Record]) -> list[Record]:
    """The records without the mark of the best scale, which is not the subject of the page."""
    return [replace(r, how={k: v for k, v in r.how.items() if k != "chosen"}) for r in records]


def _require_extras() -> None:
    """One sentence for all that is missing, before anything is computed."""
    missing = [name for name in ("onnx", "sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the demonstration needs {', '.join(missing)}, which {'are' if missing[1:] else 'is'} "
            "not installed. Install with: pip install 'spikewright[demo]'"
        )


def _rule_text(rule: MinimumError) -> str:
    """The rule as text, without the fields that have their default."""
    dt = "" if rule.dt == MinimumError.dt else f", dt={rule.dt:g}"
    return f"MinimumError(steps={rule.steps}{dt}, per={rule.per!r})"
