"""What could be changed: arguments for `convert`, and steps, that answer what a diagnosis found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright.conversion.diagnosis.cells import Cells
from spikewright.conversion.diagnosis.levels import best_under_cap, level_with_others
from spikewright.conversion.diagnosis.samples import Samples
from spikewright.conversion.diagnosis.survey import LayerLoss
from spikewright.network.neurons import BipolarIntegrateAndFire, IntegrateAndFire

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion

_WORST = 3  # layers whose own scale is looked at
_MATTERS = 0.02  # of the largest loss, or of a layer's gap: less is not worth a change
_TIMES = (2, 4)
_SHARES = (1, 2, 4, 8)  # of a factor: what a layer loses need not all be won back


@dataclass(frozen=True)
class Remedy:
    """A change: `arguments` for `Conversion.again`, and a run of `steps` steps."""

    text: str
    steps: int
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Case:
    """What has been found: the conversion, its run over the samples, layers the worst first."""

    conversion: Conversion
    samples: Samples
    layers: Sequence[LayerLoss]

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.samples.plan.steps

    def cells(self) -> dict[str, Cells]:
        """The layers of spiking neurons whose rates can be scaled."""
        return {
            name: site.cells
            for name, site in self.samples.plan.sites.items()
            if site.cells is not None
            and site.cells.neuron_type.spiking
            and site.cells.neuron_type.scaling != "refused"
        }

    def suffers(self, *parts: str) -> bool:
        """Whether these parts are a share of any layer's gap."""
        return any(
            layer.parts[name] > _MATTERS * layer.gap  # type: ignore[index]
            for layer in self.layers
            for name in parts
        )

    def argument(self, name: str) -> Any:
        """What the conversion was made with."""
        return self.conversion.arguments[name]


def remedies(case: Case) -> list[Remedy]:
    """Every remedy that what was found calls for, in no order."""
    families = (_policies, _scales_of_worst, _caps, _neurons, _synapses, _starts, _of_all)
    return [remedy for family in families for remedy in family(case)]


def _policies(case: Case) -> Iterator[Remedy]:
    if case.argument("max_pool") == "average" and case.suffers("policy"):
        yield Remedy("max pooling as in the source", case.steps, {"max_pool": "gate"})


def _scales_of_worst(case: Case) -> Iterator[Remedy]:
    """The scale of each of the worst layers, so that it loses no more than the others do."""
    worst = max(layer.loss.value for layer in case.layers)
    able = case.cells()
    for layer in [found for found in case.layers if found.name in able][:_WORST]:
        if layer.loss.value < _MATTERS * worst:
            continue
        if able[layer.name].cap is None:
            factor = level_with_others(case.samples, case.layers, layer)
        else:
            factor = best_under_cap(case.samples, layer.name)
        if factor == 1.0:
            continue
        for less in _SHARES if able[layer.name].cap is None else (1,):
            if factor / less > 1.0 or less == 1:
                yield _scaled(case, {layer.name: factor / less})


def _scaled(case: Case, factors: Mapping[str, float], steps: int | None = None) -> Remedy:
    """Scales multiplied by `factors`, the others kept: complete, in numbers."""
    populations = case.conversion.populations()
    scales = {
        name: _plain(ensemble.rate_scale * factors.get(name, 1.0))
        for name, ensemble in populations.items()
    }
    words = [
        f"{'raise' if factor > 1 else 'lower'} the scale of {name} from "
        f"{_shown(populations[name].rate_scale)} to {_shown(np.asarray(scales[name]))}"
        for name, factor in factors.items()
    ]
    return Remedy("; ".join(words), steps or case.steps, {"scale_firing_rates": scales})


def _caps(case: Case) -> Iterator[Remedy]:
    """More spikes a step, where the cap cuts values off."""
    caps = {cells.cap for cells in case.cells().values() if cells.cap is not None}
    cap = case.argument("max_spikes_per_step")
    if cap is None or caps != {cap} or not case.suffers("clipping"):
        return
    for times in _TIMES:
        text = f"let a neuron send up to {times * cap} spikes a step"
        yield Remedy(text, case.steps, {"max_spikes_per_step": times * cap})
    yield Remedy("lift the cap on spikes a step", case.steps, {"max_spikes_per_step": None})


def _neurons(case: Case) -> Iterator[Remedy]:
    """Rectifiers that take spikes back, where the order of arrival matters."""
    types = {type(ensemble.neuron_type) for ensemble in case.conversion.populations().values()}
    if IntegrateAndFire not in types or not case.suffers("arrival order"):
        return
    cap = case.argument("max_spikes_per_step")
    spiking = case.argument("spiking")
    kept = spiking if isinstance(spiking, Mapping) else {}
    chosen = {**kept, "relu": BipolarIntegrateAndFire(max_spikes_per_step=cap)}
    if any(isinstance(neurons, IntegrateAndFire) for neurons in kept.values()):
        chosen = {
            key: BipolarIntegrateAndFire(max_spikes_per_step=neurons.most_spikes)
            if isinstance(neurons, IntegrateAndFire)
            else neurons
            for key, neurons in kept.items()
        }
    changes = {"spiking": chosen, "max_spikes_per_step": None}
    yield Remedy("neurons that take spikes back", case.steps, changes)


def _synapses(case: Case) -> Iterator[Remedy]:
    if case.suffers("settling"):
        yield Remedy("no synapse", case.steps, {"synapse": None})


def _starts(case: Case) -> Iterator[Remedy]:
    start = case.argument("initial_voltage")
    halves = isinstance(start, str) and start == "half"
    if not halves and case.suffers("quantisation", "arrival order"):
        yield Remedy("start from half a spike", case.steps, {"initial_voltage": "half"})


def _of_all(case: Case) -> Iterator[Remedy]:
    """More of everything: rates, or time."""
    able = case.cells()
    for times in _TIMES:
        if able and all(cells.cap is None for cells in able.values()):
            remedy = _scaled(case, dict.fromkeys(able, float(times)))
            text = f"{times} times the firing rates of every layer"
            yield Remedy(text, case.steps, _one_number(case, remedy.arguments))
        text = f"{times} times as many steps"
        yield Remedy(text, times * case.steps)
    capped = {name: best_under_cap(case.samples, name) for name, c in able.items() if c.cap}
    factors = {name: factor for name, factor in capped.items() if factor != 1.0}
    if len(factors) > 1:
        arguments = _scaled(case, factors).arguments
        yield Remedy("fit every layer's scale to its cap and steps", case.steps, arguments)


def _one_number(case: Case, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """One number for all layers where the scales are that."""
    scales = arguments["scale_firing_rates"]
    numbers = {scale if isinstance(scale, float) else None for scale in scales.values()}
    (number, *others) = numbers
    return arguments if others or number is None else {"scale_firing_rates": number}


def _plain(scale: NDArray) -> float | NDArray:
    return float(scale) if scale.ndim == 0 else scale


def _shown(scale: NDArray) -> str:
    low, high = float(scale.min()), float(scale.max())
    return f"{low:.4g}" if low == high else f"{low:.4g}..{high:.4g}"
