"""The row of a sweep for the default of `convert(model, spiking=True, calibration=x, steps=8)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spikewright._base.arguments import is_array
from spikewright.choosing.default import ENOUGH
from spikewright.lower.choices import STEP
from spikewright.measure import EveryStep
from spikewright.report.sweeps import REFERENCE
from spikewright.study.options import SCALES
from spikewright.study.point import StudySetting
from spikewright.study.programs import ModelReference

_STEPS = 8  # of a layer
_FIRST = f"x[:{ENOUGH}]"


def wants_reference(options: Mapping[str, Any]) -> bool:
    """True where options of a sweep ask for the row; by default where they leave scales open."""
    wanted = options["reference"]
    if wanted is not None:
        return bool(wanted)
    plain = options["scales"] is SCALES and options["coding"] is None and options["neurons"] is True
    return plain and options["encoder"] is None and options["dt"] == STEP


def reference_of(
    common: Mapping[str, Any], readouts: Sequence[EveryStep], origin: ModelReference, x: Any
) -> tuple[StudySetting, ModelReference]:
    """The setting, and the origin that names its samples: those of `calibration`, else of `x`."""
    samples = common.get("calibration")
    if samples is None:
        many = is_array(x) and tuple(x.shape[:1]) > (ENOUGH,)
        samples, name = (x[:ENOUGH], _FIRST) if many else (x, "x")
        origin = replace(origin, data=((samples, name), *origin.data))
    free = {"coding": None, "scale_firing_rates": None, "synapse": None}
    given = {**free, **common, "spiking": True, "calibration": samples, "steps": _STEPS}
    how = {"scale": REFERENCE, "synapse": None, "neurons": "default"}
    return StudySetting(REFERENCE, given, readouts, _STEPS, how), origin


def sentence_of(setting: StudySetting, origin: ModelReference, chosen: str) -> str:
    """The sentences on the row: what was chosen, and on which samples."""
    samples = origin.named(setting.arguments["calibration"])
    few = f" first {ENOUGH} of the" * (samples == _FIRST)
    measured = f"the{few} samples measured here, without their labels"
    where = "the calibration samples" if samples == "calibration" else measured
    return f"{REFERENCE}: {chosen}. Chosen on {where}."
