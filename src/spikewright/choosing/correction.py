"""Corrections of mean errors: biases, of each step or of all, and initial voltages; by running.

On the same samples the source's mean value of each neuron is compared with the mean that its
spiking form sends in a number of steps. The difference is added to the neuron. This is done layer
by layer: the effect of a correction on later layers is measured before the next, so that no gap is
corrected twice. (All layers at once, in as many runs, corrects less.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright._base.progress import progress_bar
from spikewright._base.schema import AboveZero, Positive
from spikewright.choosing.measured_activations import activation_means, shares, source_means
from spikewright.choosing.rules.rule import brief, check_fields
from spikewright.choosing.scales import has_rule
from spikewright.choosing.statistics.channels import channel_axis
from spikewright.choosing.statistics.collect import Batch
from spikewright.errors import ConversionError, NetworkError, Refusal
from spikewright.lower.keys import by_layer
from spikewright.lower.populations import Roles, as_scale
from spikewright.lower.trace import Status
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.processes import EachStep
from spikewright.running.protocols import ConversionLike

Per = Literal["channel", "neuron"]
Gaps = dict[str, NDArray]
Shift = Callable[[str, Ensemble, NDArray], None]


@dataclass(frozen=True)
class _Correction(ABC):
    """Parameters of all corrections: the steps to correct for, and the rounds of measuring."""

    steps: Positive
    dt: AboveZero = 0.001
    rounds: Positive = 1

    _argument: ClassVar[str]
    _promise: ClassVar[Status]

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def at(self) -> Sequence[int]:
        """The numbers of first steps whose gaps are measured."""
        return (self.steps,)

    @abstractmethod
    def begin(self, populations: Mapping[str, Ensemble]) -> tuple[Gaps, Shift]:
        """The values of layers found so far, and the function that shifts one by its gaps."""


@dataclass(frozen=True)
class BiasCorrection(_Correction):
    """b_c <- b_c + mean over samples and positions of (source value - spiking mean), per channel.

    Measured over `steps` steps of `dt` seconds, `rounds` times; `per="neuron"` gives every neuron a
    bias of its own. It removes the mean error of every channel by rounding, cutting off and arrival
    order, for runs of about that many steps. With ever more steps the network no longer tends to
    the source, but to it with these biases.

    Law: the mean gap of each layer is smaller afterwards; a network without gaps is left alone.
    Source: "light" calibration of Li et al. 2021, ICML, A Free Lunch From ANN (arXiv 2106.06984).
    """

    per: Per = "channel"

    _argument = "bias_correction"
    _promise = "approximated"

    def begin(self, populations: Mapping[str, Ensemble]) -> tuple[Gaps, Shift]:
        """Additions to biases."""
        added: Gaps = {}
        bases = {name: ensemble.bias for name, ensemble in populations.items()}

        def shift(name: str, ensemble: Ensemble, gap: NDArray) -> None:
            added[name] = added.get(name, 0.0) + gap[0]
            ensemble.bias = bases[name] + added[name]

        return added, shift


@dataclass(frozen=True)
class VoltageCorrection(_Correction):
    """v0 <- v0 + T (mean source value - spiking mean) / theta, in spikes, per neuron.

    Measured over T = `steps` steps of `dt` seconds, `rounds` times, from `start` ("half" or
    "zero"). A neuron begins with the mean that it lacks; the effect fades as 1 / T, so that the
    network still tends to the source. Saturated neurons gain nothing by it.

    Law and source: as `BiasCorrection` (its "potential correction").
    """

    start: Literal["half", "zero"] = "half"
    per: ClassVar[Per] = "neuron"

    _argument = "initial_voltage"
    _promise = "convergent"

    def begin(self, populations: Mapping[str, Ensemble]) -> tuple[Gaps, Shift]:
        """Initial voltages."""
        voltages: Gaps = dict.fromkeys(populations, np.asarray(NAMED_VOLTAGES[self.start]))

        def shift(name: str, ensemble: Ensemble, gap: NDArray) -> None:
            scale = np.asarray(ensemble.rate_scale)
            voltages[name] = voltages[name] + self.steps * gap[0] * scale * self.dt
            ensemble.initial_voltage = voltages[name]

        return voltages, shift


@dataclass(frozen=True)
class StepCorrection(_Correction):
    """B_t <- B_t + rate t (mean source value - spiking mean of t steps), B_t the sum of t biases.

    Measured over `steps` steps of `dt` seconds, `rounds` times: each of the steps t = 1, 2, ... has
    a bias of its own, and those afterwards have none. So after every step as much was sent, on
    average, as the source's values call for, and the layers behind are not led astray by what
    comes early or late. `per="channel"` gives all neurons of a channel the same biases.

    Law: the mean gap of each layer after each step is smaller afterwards; a network without gaps
    is left alone. The effect of the biases fades as 1 / T, so that the network tends to the source.
    Source: FTBC of Wu et al. 2024, ECCV (arXiv 2403.18388), here with running means, whose errors
    negative spikes correct.
    """

    per: Per = "neuron"
    rate: AboveZero = 1.0

    _argument = "bias_correction"
    _promise = "convergent"

    @property
    def at(self) -> Sequence[int]:
        """Every number of steps up to `steps`."""
        return range(1, self.steps + 1)

    def begin(self, populations: Mapping[str, Ensemble]) -> tuple[Gaps, Shift]:
        """Biases of each step, `(steps, ...)`."""
        sums: Gaps = {}
        added: Gaps = {}
        ahead = {name: ensemble.step_biases for name, ensemble in populations.items()}
        for name, ensemble in populations.items():  # all networks have the same form
            none = np.zeros((self.steps, *ensemble.shape))
            ensemble.noise = EachStep(together(ahead[name], none))

        def shift(name: str, ensemble: Ensemble, gap: NDArray) -> None:
            steps = np.reshape(self.at, (-1, *[1] * len(ensemble.shape)))
            sums[name] = sums.get(name, 0.0) + self.rate * steps * gap
            added[name] = np.diff(sums[name], axis=0, prepend=0.0)
            ensemble.noise = EachStep(together(ahead[name], added[name]))

        return added, shift


Correction = BiasCorrection | StepCorrection | VoltageCorrection
CORRECTIONS = (BiasCorrection, StepCorrection, VoltageCorrection)
PLACES: Mapping[str, tuple[type[_Correction], ...]] = {
    name: tuple(kind for kind in CORRECTIONS if kind._argument == name)
    for name in ("bias_correction", "initial_voltage")
}
"""The corrections that each argument of `convert` takes."""


def corrects(arguments: Mapping[str, Any]) -> bool:
    """True where arguments of `convert` hold a correction, which is measured by running."""
    return any(isinstance(arguments.get(name), kinds) for name, kinds in PLACES.items())


def looks_at_data(arguments: Mapping[str, Any]) -> bool:
    """True where a rule or a correction among arguments of `convert` takes data, or the code."""
    coding, scale = arguments.get("coding"), arguments.get("scale_firing_rates")
    if coding is not None:
        chooses = coding.steps is not None and scale is None
        if chooses or coding.looks_at_data:
            return True
    return has_rule(scale) or corrects(arguments)


def add_bias(conversion: ConversionLike, roles: Roles, value: Any) -> Gaps:
    """Add numbers or arrays, one for all layers or `{layer: ...}`, to the biases; by layer.

    An array with one axis more than the layer has is a bias for each of the first steps. Raises
    `ConversionError` for unknown layers and for arrays that do not fit.
    """
    populations = conversion.populations()
    added = by_layer(value, roles.keys, "bias_correction", as_scale, rest=0.0)
    refusals = []
    for name, amount in added.items():
        ensemble = populations[name]
        try:
            if amount.ndim == len(ensemble.shape) + 1:
                _add_each_step(conversion, ensemble, amount)
            else:
                ensemble.bias = ensemble.bias + amount
        except (NetworkError, ValueError) as error:
            refusals.append(Refusal(name, "value of bias_correction", str(error)))
    if refusals:
        raise ConversionError(refusals)
    return added


def _add_each_step(conversion: ConversionLike, ensemble: Ensemble, biases: NDArray) -> None:
    """Give neurons biases `(steps, ...)`; raises `NetworkError` where these have no meaning."""
    if conversion.lowered.stepping is not None:
        raise NetworkError(
            "biases of each step are counted from the start of a run, and with sequence_step every "
            "step of the sequence is a start"
        )
    if not ensemble.neuron_type.spiking:
        raise NetworkError("rate neurons answer every step alike: biases of each step need spikes")
    process = EachStep(biases)
    process.check_shapes((0,), ensemble.shape)
    ensemble.noise = EachStep(together(ensemble.step_biases, biases))


def together(ahead: NDArray | None, biases: NDArray) -> NDArray:
    """The sum of biases of each of the first steps, `(steps, ...)`, and of others, or None."""
    if ahead is None:
        return biases
    shape = np.broadcast_shapes(ahead.shape[1:], biases.shape[1:])
    found = np.zeros((max(len(ahead), len(biases)), *shape))
    for each in (ahead, biases):
        missing = len(shape) - each.ndim + 1
        found[: len(each)] += each.reshape(len(each), *(1,) * missing, *each.shape[1:])
    return found


def correct(conversion: ConversionLike, rule: Correction, samples: Batch) -> Gaps:
    """Correct every spiking population by a rule; returns what it gives them, by layer.

    A layer's gaps are measured and it is shifted by them, one after the other; there is a trace of
    both.
    """
    populations = conversion.populations()
    if not all(ensemble.neuron_type.spiking for ensemble in populations.values()):
        raise refuse(rule._argument, "only spiking networks have gaps to correct", "spiking=True")
    given, shift = rule.begin(populations)
    source = source_means(conversion, samples, rule.at, rule.dt)
    averaged = partial(_averaged, conversion, rule.per, shares(conversion, samples))
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    with progress_bar(rule.rounds * len(populations), True, "layers corrected") as advance:
        for _ in range(rule.rounds):
            measured = activation_means(conversion, samples, rule.at, rule.dt)
            for name, ensemble in populations.items():
                gap = averaged(name, source[name] - measured.means(name))
                before.setdefault(name, _size(gap))
                shift(name, ensemble, gap)
                after[name] = _size(averaged(name, source[name] - measured.means(name)))
                advance(1)
    for name in populations:
        text = f"{brief(rule)}: mean gap {before[name]:.3g} -> {after[name]:.3g} on the samples"
        conversion.trace.add("correct", name, text, rule._promise)
    return given


def _averaged(
    conversion: ConversionLike,
    per: Per,
    share: Mapping[str, NDArray],
    name: str,
    gap: NDArray,
) -> NDArray:
    """A layer's gaps `(steps, *shape)`, of each neuron or the mean of each channel.

    `share` is that of the samples in which a neuron is no padding: the mean is over these.
    """
    if name in share:
        parts = np.stack([share[name]])
        gaps, parts = (_averaged(conversion, per, {}, name, x) for x in (gap, parts))
        return np.divide(gaps, parts, out=np.zeros_like(gaps), where=parts > 0)
    axis = channel_axis(conversion.canonical, name)
    if per == "neuron" or axis is None:
        return gap
    return gap.mean(axis=tuple(i for i in range(1, gap.ndim) if i != axis + 1), keepdims=True)


def _size(gap: NDArray) -> float:
    return float(np.abs(gap).mean())
