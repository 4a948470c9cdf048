"""The base of neuron types: one equation, written once, that every engine interprets.

Units: a current `J` is a neuron's input with gain and bias applied; it has no unit. Rates are in
Hz. The integrator adds up `J` itself and compares it with a *threshold* `1 / (s dt)`, `s` being the
firing-rate scale: multiplying every step by `s dt` would round at every step, and round
`J = 1, dt = 0.1` to a spike one step late.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, Literal, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.distributions import Distribution
from spikewright.network.neurons.initial_state import Starting, as_initial_state
from spikewright.network.neurons.namespace import NUMPY_NEURONS, Array, ArrayNamespace, Clock
from spikewright.network.shapes import fixed_numbers, warn_of_milliseconds

State = dict[str, Array]
Scaling = Literal["gain", "integrator", "skewed", "refused"]

NEURON_TYPES = ClassRegistry("neuron type")
"""Every registered neuron type, by name (read only)."""
MOST_SPIKES = 2**53
"""The largest cap on spikes of a step: up to it float64 holds every whole number."""


class NeuronType(Starting, ABC):
    """A neuron type: frozen parameters, a rate function and a step.

    Class attributes: `spiking` types emit counts of spikes, the others a rate; `negative` says
    whether outputs may be below zero; `scaling` names the target of a firing-rate scale: the gain
    (exact where `f(s J) = s f(J)`), the integrator behind a rate function (exact for any), the gain
    although `f` is not linear (skewed, at the user's request), or nothing (refused: the neuron's
    own dynamics make its spikes). `amplitude` multiplies the output, a rate in Hz or a spike's
    height `amplitude / (s dt)`.
    """

    spiking: ClassVar[bool] = False
    negative: ClassVar[bool] = False
    rate_consistent: bool = False
    """Whether a spiking type's mean output tends to `rates` of the mean current, however the
    current arrives; a cap on spikes a step is not considered."""
    order_independent: bool = False
    """True where the spikes sent, less negative ones, are set by the sum of the currents alone.

    The order of the currents makes no difference; a cap on spikes a step is not considered.
    """
    takes_back: bool = False
    """True where a spike below zero takes one back, so that none is sent but for these."""
    nonconvergence_reason: ClassVar[str] = "the mean of f of a spiky current is not f of its mean"
    """The reason why the mean of a type without random draws does not follow, where it does not."""
    integer_charge: bool = False
    """True where each step rounds the charge to a whole number, through which no gradient goes."""
    leaks: bool = False
    """True where the voltage changes by itself, without a current."""
    hard_reset: bool = False
    """True where a spike sets the voltage to a value, instead of taking the threshold from it."""
    scaling: Scaling = "integrator"
    stochastic: ClassVar[bool] = False
    threshold_current: ClassVar[float | None] = 0.0
    """The current at which the response begins, where intercepts lie (None: searched)."""
    spike_heights: tuple[int, ...] = ()
    """The worth of a spike in each of the first steps, in spikes of later ones; 1 by default."""
    start: int | None = None
    """None, or the steps before the first of those, as many as heights, in which it may send."""
    amplitude: float = 1.0
    above_zero: ClassVar[tuple[str, ...]] = ("amplitude",)
    from_zero: ClassVar[tuple[str, ...]] = ()
    """Fields that are checked when a type is made: finite numbers above 0, and from 0."""
    per_neuron: ClassVar[tuple[str, ...]] = ()
    """Fields that may be arrays with a value for each neuron, which broadcast to a population."""

    def __post_init__(self) -> None:
        for name in self.per_neuron:
            if np.ndim(getattr(self, name)):
                fixed_numbers(self, name)
        check_numbers(self, self.above_zero, self.from_zero)
        check_cap(self, getattr(self, "max_spikes_per_step", None))
        if hasattr(self, "tau_rc"):
            warn_of_milliseconds(self, "tau_rc", "tau_ref")
        state = as_initial_state(self, self.initial_state, self.state_names)
        object.__setattr__(self, "initial_state", state)

    @property
    def arrays(self) -> Mapping[str, NDArray]:
        """Parameters with a value for each neuron, by name."""
        given = {name: getattr(self, name) for name in self.per_neuron}
        return {name: value for name, value in given.items() if isinstance(value, np.ndarray)}

    @property
    def sends_digits(self) -> bool:
        """True for signed digits, which a neuron sends in steps of its own."""
        return self.start is not None

    @property
    def most_spikes(self) -> int | None:
        """The largest number of spikes of a neuron in one step, of either sign; None: no bound."""
        return getattr(self, "max_spikes_per_step", None)

    def height_at(self, step: int) -> int:
        """The worth of a spike in a step, counted from 1."""
        place = step - 1 - (self.start or 0)
        return self.spike_heights[place] if 0 <= place < len(self.spike_heights) else 1

    @property
    def special_steps(self) -> int:
        """The number of first steps in which spikes have a height."""
        return (self.start or 0) + len(self.spike_heights)

    @property
    def assumed(self) -> int:
        """The spikes that receivers take as sent in the first step, where heights fall."""
        falls = self.start is None and len(set(self.spike_heights)) > 1
        return (self.most_spikes or 0) if falls else 0

    def assumed_at(self, step: int) -> float:
        """The worth of what receivers take as sent in a step, counted from 1.

        A neuron that is to have sent `k` in that step sends `(k - assumed_at(step)) /
        height_at(step)` spikes.
        """
        return float(self.assumed * self.height_at(1)) if step == 1 else 0.0

    def sent_in(self, step: int, counts: Array) -> Array:
        """The spikes of either sign that a step sends, of its counts."""
        worth, height = abs(counts - self.assumed_at(step)), self.height_at(step)
        return worth if height == 1 else worth / height

    def most_in(self, steps: int) -> int | None:
        """The most that a neuron may have sent after so many steps, in spikes; None: no bound."""
        most = self.most_spikes
        if most is None:
            return None
        if self.start is not None:
            return most * sum(self.spike_heights[: max(0, steps - self.start)])
        extra = sum(self.spike_heights[:steps]) - len(self.spike_heights[:steps])
        return most * (steps + extra) + self.assumed * self.height_at(1)

    def capped(self, most: int) -> NeuronType:
        """The type with at most `most` spikes of either sign a step, or itself if it sends no more.

        Raises `NetworkError` for a type that cannot be capped.
        """
        check_cap(self, most)
        if self.most_spikes is not None and self.most_spikes <= most:
            return self
        if not any(f.name == "max_spikes_per_step" for f in fields(self)):
            raise NetworkError(f"{type(self).__name__} has no cap on its spikes a step")
        return replace(self, max_spikes_per_step=most)  # type: ignore[call-arg]

    def in_one_step(self, steps: int) -> NeuronType:
        """The type that sends in one step all that this one sends in so many.

        Where the last spike has a height, it sends multiples of that.
        """
        most, last = self.most_in(steps), self.height_at(steps)
        if most is None:
            return self
        return replace(self, max_spikes_per_step=most // last)  # type: ignore[call-arg]

    @property
    def guarded(self) -> bool:
        """Whether the rate function is not defined, or grows out of bounds, at some currents."""
        return False

    def initial_values(self) -> Mapping[str, float]:
        """State variables and their usual values before the first step, without the voltage."""
        return {}

    @property
    def starts(self) -> Mapping[str, NDArray | Distribution]:
        """Initial values that a user gave, the voltage among them: those of `initial_state`."""
        return self.initial_state  # type: ignore[return-value]

    @property
    def has_voltage(self) -> bool:
        """Whether the type keeps a `voltage`, in spikes, which starts at the initial voltage."""
        return self.spiking

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the state variables, the voltage first."""
        return (*(("voltage",) if self.has_voltage else ()), *self.initial_values())

    counted_names: ClassVar[tuple[str, ...]] = ()
    """State variables that are numbers of spikes."""
    made_names: ClassVar[tuple[str, ...]] = ()
    """Further arrays that a step leaves in the state for probes, made anew at every step."""

    @property
    def probeable(self) -> tuple[str, ...]:
        """Names of the signals that a probe may record beside output and input."""
        counts = ("spike_count",) if self.spiking else ()
        return (*self.state_names, *self.made_names, *counts)

    def voltage_unit(self, threshold: Array) -> Array:
        """The unit of the state `voltage`: its size per spike."""
        return 1.0

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        """Rate in Hz at a constant current of any shape, without amplitude or scale.

        A type without its own formula is run: 1 ms to settle, then 1 s, in steps of 1 ms.
        """
        return settled_rates(self, np.asarray(current, np.float64))

    @abstractmethod
    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        """Advance `state` (in place) by one step.

        `current` and the arrays of `state` are `(batch, *shape)`. Returns counts of spikes (spiking
        types) or rates in Hz, without amplitude, of the same shape.
        """

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        """Gain and bias with rate `max_rates` (Hz) at `x = 1` and a response from `intercepts` on.

        All arrays have one value a neuron. Raises `NetworkError` where no gain above zero does
        that.
        """
        return searched_gain_bias(self, max_rates, intercepts)

    def intercepts(self, gain: NDArray, bias: NDArray) -> NDArray:
        """The `x` at which the response begins, for `J = gain x + bias`: `gain_bias` inverted."""
        threshold = self.threshold_current
        if threshold is None:
            threshold = searched_threshold(self)
        with np.errstate(all="ignore"):
            return np.asarray((threshold - bias) / gain)

    def max_rates(self, gain: NDArray, bias: NDArray) -> NDArray:
        """Rate in Hz at `x = 1`, for `J = gain x + bias`."""
        return np.asarray(self.rates(NUMPY_NEURONS, np.asarray(gain + bias, np.float64)))


class RateFunction(NeuronType):
    """A type whose step is its rate function."""

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        return self.rates(xp, current)


_SETTLE, _MEASURED, _RATE_DT = 1, 1000, 0.001
_SWEEP, _FIRST_REACH, _DOUBLINGS = 101, 10.0, 10


def settled_rates(neuron: NeuronType, current: NDArray) -> NDArray:
    """Mean output in Hz over 1 s of a constant current, after 1 ms; random draws are seeded."""
    state = {name: np.full(current.shape, v) for name, v in neuron.initial_values().items()}
    threshold = np.array(1.0 / _RATE_DT)
    if neuron.has_voltage:
        state["voltage"] = np.zeros(current.shape)
    rng = np.random.default_rng(0)
    total = np.zeros(current.shape)
    for step in range(1, _SETTLE + _MEASURED + 1):
        clock = Clock(step, _RATE_DT, threshold, lambda index: rng.random(current.shape))
        output = neuron.step(NUMPY_NEURONS, current, state, clock)
        if step > _SETTLE:
            total = total + output
    return total if neuron.spiking else total / _MEASURED


def _sweep(neuron: NeuronType, wanted: float) -> tuple[NDArray, NDArray]:
    """Currents and rates, from silence up to the wanted rate."""
    reach = _FIRST_REACH
    for _ in range(_DOUBLINGS):
        currents = np.linspace(-reach, reach, _SWEEP)
        rates = _swept(neuron, currents)
        if rates.max() > wanted and np.any(rates <= 0):
            return currents, rates
        reach *= 2
    raise NetworkError(
        f"{type(neuron).__name__}: no current up to {reach / 2:g} gives {wanted:g} Hz, or none "
        "keeps it silent, so that gain and bias cannot be found: give gain= and bias="
    )


def _swept(neuron: NeuronType, currents: NDArray) -> NDArray:
    """Rates at each of some currents, of a type that is the same for all neurons."""
    try:
        rates = np.asarray(neuron.rates(NUMPY_NEURONS, currents))
    except ValueError:  # parameters that are arrays
        rates = np.zeros(())
    if rates.shape != currents.shape:
        raise NetworkError(
            f"{type(neuron).__name__}: its neurons differ, and gain and bias are searched for one: "
            "give gain= and bias=, or the class a gain_bias()"
        )
    return rates


def _onset(currents: NDArray, rates: NDArray) -> tuple[float, int]:
    """The current midway between the last silent one and the next, and the former's index."""
    silent = int(np.flatnonzero(rates <= 0)[-1])
    following = min(silent + 1, len(currents) - 1)
    return float(currents[silent] + currents[following]) / 2.0, silent


def searched_threshold(neuron: NeuronType) -> float:
    """The current at which a neuron's response begins, by a sweep over 101 currents."""
    return _onset(*_sweep(neuron, 0.0))[0]


def searched_gain_bias(
    neuron: NeuronType, max_rates: NDArray, intercepts: NDArray
) -> tuple[NDArray, NDArray]:
    """Gain and bias by a sweep over 101 currents, linear between them."""
    currents, rates = _sweep(neuron, float(np.max(max_rates)))
    threshold, silent = _onset(currents, rates)
    reached = np.maximum.accumulate(rates)
    after = np.clip(np.searchsorted(reached, max_rates), silent + 1, len(rates) - 1)
    low, high = reached[after - 1], reached[after]
    with np.errstate(all="ignore"):
        share = np.where(high > low, (max_rates - low) / (high - low), 1.0)
        most = currents[after - 1] + share * (currents[after] - currents[after - 1])
        gain = (most - threshold) / (1.0 - intercepts)
    check_gain(neuron, gain, intercepts, "max rates must be above 0 and intercepts below 1")
    return gain, threshold - gain * intercepts


def no_gain_bias(neuron: NeuronType, max_rates: NDArray, intercepts: NDArray) -> NoReturn:
    """Raise `NetworkError`: the type's response has no current at which it begins."""
    raise NetworkError(
        f"{type(neuron).__name__} has no gain and bias formula: give gain= and bias="
    )


T = TypeVar("T", bound=type[NeuronType])


def register(cls: T) -> T:
    """Class decorator: make a neuron type known to files, engines' tests and documentation."""
    plain = cls.__repr__

    def representation(self: NeuronType) -> str:
        text, given = plain(self), self.initial_state
        return f"{text[:-1]}{', ' * (text[-2] != '(')}initial_state={given!r})" if given else text

    cls.__repr__ = representation  # type: ignore[method-assign, assignment]
    return NEURON_TYPES.register(cls)


def check_numbers(owner: object, above_zero: Iterable[str], from_zero: Iterable[str]) -> None:
    """Raise `NetworkError` unless fields are finite numbers above 0, and others from 0.

    Those that may have one for each neuron are arrays of such numbers too.
    """
    bounds = {**dict.fromkeys(above_zero, "above 0"), **dict.fromkeys(from_zero, "0 or more")}
    for name, bound in bounds.items():
        value = getattr(owner, name)
        each = isinstance(value, np.ndarray) and name in getattr(owner, "per_neuron", ())
        finite = np.isfinite(value).all() if each else is_number(value)
        if not (finite and np.all(value > 0 if bound == "above 0" else value >= 0)):
            raise NetworkError(f"{type(owner).__name__}.{name} must be {bound}, got {value!r}")


def check_cap(owner: object, cap: int | None) -> None:
    """Raise `NetworkError` unless a cap on spikes is None or a whole number above 0."""
    if not may_cap(cap):
        raise NetworkError(
            f"{type(owner).__name__}.max_spikes_per_step must be a whole number above 0, to "
            f"{MOST_SPIKES}, got {cap!r}"
        )


def may_cap(cap: Any) -> bool:
    """True of None and of the whole numbers that a cap on spikes may be."""
    return cap is None or (is_whole(cap) and 1 <= cap <= MOST_SPIKES)


def check_gain(owner: NeuronType, gain: NDArray, intercepts: NDArray, why: str) -> None:
    """Raise `NetworkError` unless every derived gain is finite and above 0, intercepts below 1."""
    bad = ~(np.isfinite(gain) & (gain > 0) & (intercepts < 1.0))
    if np.any(bad):
        raise NetworkError(
            f"{type(owner).__name__}: {int(bad.sum())} of {bad.size} neurons have no gain above 0 "
            f"for the given max_rates and intercepts: {why}"
        )
