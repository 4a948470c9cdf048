"""The network as a module with parameters of the source's names, and back.

That is `Conversion.to_torch` and `Conversion.load_state`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import TrainingError
from spikewright.frontends import ModelReader
from spikewright.frontends.provenance import ArrayKey, parameters_of
from spikewright.graph import Graph
from spikewright.running.protocols import ConversionLike, Made
from spikewright.training.options import ModuleOptions
from spikewright.training.trainable import NamedParameters, named


def to_torch(
    conversion: ConversionLike,
    steps: int,
    options: ModuleOptions,
    reading: ModelReader | None,
    frozen: Collection[ArrayKey],
) -> Any:
    """The module of a conversion; raises as `Conversion.to_torch` does."""
    _refuse_steps(conversion)
    from spikewright.training.gradients.bptt import BpttModule  # late: it imports torch

    return BpttModule(conversion, named(conversion.graph, reading), frozen, steps, options)


def _refuse_steps(conversion: ConversionLike) -> None:
    """Raise `TrainingError` where currents have a part that differs from step to step.

    Signed digits are whole samples, which have no steps.
    """
    if conversion.lowered.times is not None:
        return
    if conversion.lowered.stepping is not None:
        raise TrainingError(
            "sequence_step: networks whose steps share neurons have no module. Convert without it"
        )
    high = [
        f"{name!r} ({type(ensemble.neuron_type).__name__})"
        for name, ensemble in conversion.populations().items()
        if ensemble.neuron_type.spike_heights
    ]
    if high:
        raise TrainingError(
            f"layers {', '.join(high)} have spike_heights, for which all of the input comes at "
            "once; no module does that. Convert with sw.BipolarIntegrateAndFire() or "
            "sw.IntegrateAndFire(), or train with conversion.train"
        )
    noisy = [name for name, e in conversion.populations().items() if e.noise is not None]
    if noisy:
        raise TrainingError(
            f"layers {noisy} have biases of each step, or noise, which no module has. Convert with "
            "bias_correction=None"
        )


def loaded(
    conversion: Made,
    state: Mapping[str, Any],
    remade: Callable[[Graph | ModelReader, Mapping[str, Any]], Made],
    reading: ModelReader | None,
) -> Made:
    """The conversion with other parameters: of a copy of its live model, or of its graph.

    Raises `TrainingError` for names, shapes and values that do not fit.
    """
    known = named(conversion.graph, reading)
    arrays = _checked(state, known)
    if reading is None:
        present = {place: origin.read(arrays) for place, origin in known.origins.items()}
        return remade(known.graph.with_arrays(present), conversion.resolved)
    model = parameters_of(str(reading.framework)).copied(reading.model, arrays)
    return remade(replace(reading, model=model), conversion.resolved)


def _checked(state: Mapping[str, Any], known: NamedParameters) -> dict[str, NDArray]:
    """The arrays of a state in the types of those before."""
    for what, names in (
        ("lacks", sorted(known.arrays.keys() - state.keys())),
        ("has unknown", sorted(state.keys() - known.arrays.keys())),
    ):
        if names:
            raise TrainingError(f"the state {what} {names}; it holds {sorted(known.arrays)}")
    found = {}
    for name, before in known.arrays.items():
        given = state[name]
        value = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        if value.shape != before.shape or not np.isfinite(value).all():
            raise TrainingError(
                f"{name!r}: finite numbers of shape {before.shape} are needed, got shape "
                f"{value.shape} with {int((~np.isfinite(value)).sum())} that are not finite"
            )
        found[name] = value.astype(before.dtype)
        if name not in known.reached and not np.array_equal(found[name], before):
            raise TrainingError(
                f"{name!r} has changed, and no value of the network is one of its values"
            )
    return found
