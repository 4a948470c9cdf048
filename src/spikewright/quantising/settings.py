"""The numbers that a chip computes with, as an argument of `convert`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright.chips import Arithmetic, Chip
from spikewright.errors import ChipError

PER = ("layer", "channel")
_BITS = {
    "bits": (2, 16),
    "bias_bits": (2, 32),
    "threshold_bits": (2, 32),
    "state_bits": (4, 32),
    "threshold_exponent": (0, 16),
    "exponents": (0, 16),
    "bias_exponents": (0, 16),
    "spikes": (1, 2**31),
    "output_spikes": (1, 2**31),
    "decay": (0, 32),
}
_NEVER_NONE = ("bits", "bias_exponents", "threshold_exponent")


@dataclass(frozen=True)
class Quantised:
    """Weights of `bits` bits, sign included: whole numbers times a step `per` layer or channel.

    Populations of integrate-and-fire neurons then compute in whole numbers alone, as
    `FixedPointIntegrateAndFire` says. The step is the one of least squared error, and such that a
    spike is a whole number of it, the threshold. The rest describes a chip; None is a number
    without bound:

    * `exponents`: the weights of a step may be multiplied by 2 to any power from 0 to this;
    * `bias_bits`, `threshold_bits`, `state_bits`: of biases, thresholds and voltages, the sign
      included; `threshold_exponent`: thresholds are multiples of 2 to this power;
      `bias_exponents`: the biases of a layer may be multiplied by 2 to a power of up to this;
    * `spikes`, `output_spikes`: most spikes a step of a neuron, and of one that is read out;
    * `above`: True where a spike takes a voltage above the threshold, not at it, so that a spike
      is worth one whole number more; `reset` is "zero" then;
    * `voltage_floor`: the lowest voltage, as spikes below zero;
    * `decay`: a voltage loses `v >> decay` in each step; `reset`: a spike does "subtract" its
      threshold, or set the voltage to "zero".

    Values that come from outside, such as pixels, are no whole numbers: what arrives from them is
    rounded in the neuron, with the rest of a step's charge. Biases, and the thresholds of neurons
    behind such values, are whole for steps of `dt` seconds. `chip` names the chip in the trace.
    Raises `ConversionError` for numbers that no chip has.
    """

    bits: int = 8
    per: Literal["layer", "channel"] = "channel"
    exponents: int | None = None
    bias_bits: int | None = None
    bias_exponents: int = 0
    threshold_bits: int | None = None
    threshold_exponent: int = 0
    state_bits: int | None = None
    spikes: int | None = None
    output_spikes: int | None = None
    voltage_floor: float | None = None
    decay: int | None = None
    reset: Literal["subtract", "zero"] = "subtract"
    dt: float = 0.001
    chip: str = ""
    above: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _BITS.items():
            value = getattr(self, name)
            if value is None and name not in _NEVER_NONE:
                continue
            if not (is_whole(value) and least <= value <= most):
                raise _refused(name, f"it is a whole number from {least} to {most}, got {value!r}")
        if self.per not in PER:
            raise _refused("per", f'it is "layer" or "channel", got {self.per!r}')
        if self.reset not in ("subtract", "zero"):
            raise _refused("reset", f'it is "subtract" or "zero", got {self.reset!r}')
        if not (self.above is False or (self.above is True and self.reset == "zero")):
            reason = f'it is False, or True with reset="zero", got {self.above!r}'
            raise _refused("above", f"{reason} with reset={self.reset!r}")
        floor = self.voltage_floor
        if floor is not None and not (is_number(floor) and floor >= 0):
            raise _refused("voltage_floor", f"it is None or a number from 0, got {floor!r}")
        if not (is_number(self.dt) and self.dt > 0):
            raise _refused("dt", f"it is a number of seconds above 0, got {self.dt!r}")

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of those of its numbers that bind neurons of every type."""
        named = ("state_bits", "threshold_bits", "bias_bits", "voltage_floor", "decay")
        found = [name for name in named if getattr(self, name) is not None]
        return (*found, *(["reset"] if self.reset != "subtract" else []))


def _refused(field: str, reason: str) -> Any:
    return refuse(f"Quantised.{field}", reason)


def bits_of(chip: Chip) -> Quantised:
    """The arithmetic of a chip for integrate-and-fire neurons, whose leak is switched off.

    What a profile leaves open is not bounded. A spike subtracts the threshold where the chip can.
    Raises `ChipError` for chips that send values, that round otherwise, or whose weights are not
    published.
    """
    has = chip.arithmetic
    _check(chip, has)
    assert has.weight_bits is not None
    exponents, multiple = _exponents(has)
    resets = has.resets or ("subtract",)
    return Quantised(
        has.weight_bits,
        "channel" if has.scale == "neuron" else "layer",
        exponents=exponents,
        bias_bits=has.bias_bits,
        bias_exponents=0 if has.bias_exponents is None else has.bias_exponents[1],
        threshold_bits=has.threshold_bits,
        threshold_exponent=multiple,
        state_bits=has.state_bits,
        spikes=has.spikes,
        output_spikes=has.output_spikes,
        voltage_floor=has.voltage_floor,
        reset="subtract" if "subtract" in resets else "zero",
        chip=chip.name,
        above=has.spikes_above == "yes",
    )


def _check(chip: Chip, has: Arithmetic) -> None:
    """Raise `ChipError` for arithmetic that spikes in whole numbers do not have."""
    if has.activation_bits is not None:
        raise ChipError(
            f"{chip.name} sends values of {has.activation_bits} bits in place of spikes, so no "
            f"spiking network runs under its bits. fits({chip.name!r}) says whether there is room"
        )
    if has.weight_bits is None:
        raise ChipError(
            f"the profile of {chip.name} says nothing of weights: give arithmetic.weight_bits in a "
            "profile of your own, or sw.Quantised to convert"
        )
    if has.rounding == "down":
        raise ChipError(f"{chip.name} rounds numbers down, and only the nearest are simulated")


def _exponents(has: Arithmetic) -> tuple[int, int]:
    """The largest power of two of a weight, and that of thresholds, beside the smallest weight."""
    low, high = has.weight_exponents or (0, 0)
    threshold = 0 if has.threshold_exponents is None else has.threshold_exponents[0]
    low = max(low, -threshold)  # below, a weight would lose bits
    return high - low, threshold
