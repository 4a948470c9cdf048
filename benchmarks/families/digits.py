"""Signed digits: how far networks are from their sources, and from their rounded twins.

A twin is the same network without time, its activations rounded to what its digits can represent.
Units are chosen on samples, and others are measured. Distances are root mean squares over the
values that are read out, in front of functions of readouts such as a softmax.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.families.apart import Row, without_places
from benchmarks.families.measuring import CONVERTED, REFUSED
from benchmarks.families.member import as_taken
from benchmarks.families.origins import found
from benchmarks.families.warming import SAMPLES

if TYPE_CHECKING:
    from spikewright import Conversion

STEPS, SILENT, LATER = 6, 2, 3
CHOSEN = "with silent steps that samples choose"  # from twin and from source, where twins are far
DEVIATION = "deviation"  # of the source's outputs, beside their size
MEASURED = 4  # samples, behind those that units are chosen on
FEW = 1000  # one neuron of so many says a unit more
DISTANCES = (
    "twin from source", "network from twin", "network from source", "from twin, later",
    "from twin, changed",
)  # fmt: skip


def measured(key: str) -> Row:
    """The row of a network: its distances, or the kinds of layers that digits cannot represent."""
    import spikewright as sw
    from spikewright.errors import ConversionError, SpikewrightError

    origin, name, member = found(key)
    begin = time.process_time()
    model = origin.warm(origin.make(name, member), member)
    arrays = member.arrays(SAMPLES + MEASURED)
    seen, others = (
        as_taken({name: array[part] for name, array in arrays.items()})
        for part in (slice(SAMPLES), slice(SAMPLES, None))
    )
    try:
        conversion = sw.convert(
            model, example_input=as_taken(member.arrays(2)) if origin.example else None,
            spiking=True, coding=sw.SignedDigits(STEPS, SILENT), calibration=seen,
        )  # fmt: skip
    except SpikewrightError as error:
        layers = error.refusals if isinstance(error, ConversionError) else ()
        kinds = sorted({layer.kind for layer in layers})
        return {"outcome": REFUSED, "why": without_places(str(error)), "kinds": kinds}
    if not conversion.populations():
        return {"outcome": REFUSED, "why": "no layer has neurons: nothing is sent", "kinds": []}
    row: Row = {"outcome": CONVERTED, "layers": len(conversion.populations())}
    x = conversion.as_inputs(others)
    row |= distances(conversion, x)
    if row["network from twin"] > 1:
        chosen = conversion.replace(
            coding=sw.SignedDigits(STEPS), calibration=seen,
            scale_firing_rates=conversion.resolved["scale_firing_rates"],
        )  # fmt: skip
        found_by_samples = distances(chosen, x)
        row[CHOSEN] = [found_by_samples[name] for name in DISTANCES[1:3]]
    return row | {"seconds": time.process_time() - begin}


def distances(conversion: Conversion, x: Mapping[str, NDArray]) -> dict[str, float]:
    """The distances of a network of digits, its twin and its source from each other on samples."""
    import spikewright as sw
    from spikewright.choosing.silent_steps import rounding
    from spikewright.graph import evaluate_all
    from spikewright.lower.populations import Roles

    graph, rounded = conversion.canonical, rounding(conversion.populations())
    places = Roles(graph).read_from()

    def still(passed_on: Any = None) -> NDArray:
        values = evaluate_all(graph, x, passed_on)
        return _flat([values[place] for place in places])

    def spiking(one: Conversion) -> NDArray:
        raw = one.run(x, threads=1, progress=False).raw
        return _flat([raw[name].mean(axis=1, dtype=np.float64) for name in graph.outputs])

    source, network = still(), spiking(conversion)
    twin, changed = still(rounded), still(_changed(conversion.populations(), rounded))
    later = conversion.replace(
        coding=sw.SignedDigits(STEPS, LATER), calibration=None,
        scale_firing_rates=conversion.resolved["scale_firing_rates"],
    )  # fmt: skip
    unit = _rms(twin - source)
    others = (network - twin, network - source, spiking(later) - twin, changed - twin)
    deviation = _rms(source.std(axis=0, ddof=1))
    found = (unit / deviation, *(_rms(a) / unit for a in others))
    return {**dict(zip(DISTANCES, found, strict=True)), DEVIATION: deviation / _rms(source)}


def _changed(populations: Mapping[str, Any], rounded: Any) -> Any:
    """The rounded twin's values, a unit more in one of `FEW` active neurons of its first layer.

    `rounded` is what it passes on itself, a function `(name, value)` as this one.
    """
    from spikewright.choosing.silent_steps import digit_unit

    first = next(iter(populations))

    def passed_on(name: str, value: NDArray) -> NDArray:
        sent: NDArray = rounded(name, value)
        if name == first:
            units = np.broadcast_to(digit_unit(populations[name]), sent.shape)
            few = np.flatnonzero(sent)[::FEW]
            sent.flat[few] += units.flat[few]
        return sent

    return passed_on


def _flat(values: list[NDArray]) -> NDArray:
    """The values of several outputs, `(samples, all)`."""
    return np.hstack([value.reshape(len(value), -1) for value in values])


def _rms(values: NDArray) -> float:
    return float(np.sqrt(np.square(values).mean()))
