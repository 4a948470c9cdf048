"""The bits of a chip, from its profile."""

from __future__ import annotations

from spikewright.chips import Arithmetic, Chip
from spikewright.errors import ChipError
from spikewright.quantising.settings import Quantised


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
            "spiking network runs under its bits. twin= of evaluate measures the network of "
            "rounded values"
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
