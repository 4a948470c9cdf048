"""Every rule of every chip: a network just inside its limit, and one just outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from building import dense, given, population, reads

import spikewright as sw
from slowly import of_each_type
from spikewright import chips
from spikewright._base.windows import Windows
from spikewright.chips.broken import RULES
from spikewright.testing.modelling import neuron_type_examples

Build = Callable[[chips.Chip, Any], None]
OF_A_PLACEMENT = {"axons_per_input"}  # a number that other rules count with


def _reader_of(size: int) -> sw.Ensemble:
    """A neuron that reads `size` inputs."""
    neuron = population(1)
    dense(neuron, given(size))
    return neuron


def _full(chip: chips.Chip, more: int = 0) -> None:
    """As many neurons as all cores have, and some more."""
    assert chip.limits.cores and chip.limits.core_neurons
    population(chip.limits.cores * chip.limits.core_neurons + more)


def _cores(chip: chips.Chip, cores: int) -> None:
    """Populations that take this number of cores, one more than the chip has at most."""
    there = chip.limits.cores or 0
    if chip.limits.core_neurons:
        _full(chip)
        cores -= there - 1  # the first population takes all
    for _ in range(cores - (1 if chip.limits.core_neurons else 0)):
        population(1)


def _read_by(readers: int) -> None:
    """A neuron that other populations read."""
    sender = population(1)
    for _ in range(readers):
        dense(population(1), sender)


def _hidden(size: int) -> None:
    """Hidden neurons between an input and an output."""
    hidden = population(size)
    dense(hidden, given(2))
    dense(population(1), hidden)


def _fan_out(chip: chips.Chip, size: int) -> None:
    first, second = population(1), population(size)
    dense(second, first)
    dense(population(1), second)


def _convolved(**options: Any) -> None:
    """An image and a convolution over it: of one tap, one channel and one step, but for options."""
    shape = options.pop("shape", (1, 16, 1))
    kernel = np.ones((1, shape[0], options.pop("side", 1), 1))
    transform = sw.Convolution(kernel, **options)
    reads(population(transform.output_shape(shape)), given(shape), transform)


def _pooled(pool: Any) -> None:
    image = population((1, 32, 32))
    if isinstance(pool, sw.MaxPool):
        junction = sw.Node(pool, size_in=(1, 32, 32))
        sw.Connection(image.neurons, junction, synapse=None)
        shape = junction.shape_out
        reads(population(shape), junction, sw.Convolution(np.ones((1, 1, 1, 1))))
    else:
        junction = sw.Node(size_in=pool.output_shape((1, 32, 32)))
        sw.Connection(image.neurons, junction, transform=pool, synapse=None)
        reads(population(junction.shape_out), junction, sw.Convolution(np.ones((1, 1, 1, 1))))


CASES: dict[str, Build] = {
    "limits.cores": _cores,
    "limits.core_neurons": lambda chip, n: _full(chip, n - (chip.limits.core_neurons or 0)),
    "limits.core_axons_in": lambda chip, n: (
        _reader_of(-(-n // (chip.limits.axons_per_input or 1))) and None
    ),
    "limits.core_axons_out": lambda chip, n: _read_by(n),
    "limits.core_synapse_bits": lambda chip, n: (
        _reader_of(-(-n // (chip.arithmetic.weight_bits or 1))) and None
    ),
    "limits.core_bytes": lambda chip, n: _reader_of(n - 4) and None,
    "limits.core_kernel_words": lambda chip, n: dense(population(256), given(-(-n // 256))),
    "limits.core_neuron_words": lambda chip, n: population((-(-n // 4096), 64, 64)) and None,
    "limits.inputs": lambda chip, n: _reader_of(n) and None,
    "limits.hidden": lambda chip, n: _hidden(n),
    "limits.outputs": lambda chip, n: population(n) and None,
    "limits.hidden_from_input": lambda chip, n: _hidden(n),
    "limits.hidden_to_output": lambda chip, n: _hidden(n),
    "limits.neurons": lambda chip, n: population(n) and None,
    "limits.fan_in": lambda chip, n: _reader_of(n) and None,
    "limits.fan_out": _fan_out,
    "limits.destinations": lambda chip, n: _read_by(n),
    "limits.channels": lambda chip, n: _reader_of(n) and None,
    "limits.kernel_side": lambda chip, n: _convolved(side=n, shape=(1, 32, 1)),
    "limits.kernel_sides": lambda chip, n: _convolved(side=n),
    "limits.strides": lambda chip, n: _convolved(stride=(n, 1)),
    "limits.paddings": lambda chip, n: _convolved(padding=((n, n), (0, 0))),
    "limits.input_side": lambda chip, n: _convolved(shape=(1, n, 1), stride=(8, 1)),
    "limits.output_side": lambda chip, n: _convolved(shape=(1, n, 1)),
    "limits.pool_sides": lambda chip, n: _pooled(sw.transforms.SumPool(Windows((n, n)))),
    "limits.max_pool_side": lambda chip, n: _pooled(sw.MaxPool(Windows((n, n)), accumulate=True)),
    "limits.dense_inputs": lambda chip, n: _reader_of(n) and None,
    "arithmetic.resets": lambda chip, n: (
        population(1, sw.BipolarIntegrateAndFire() if n == "outside" else None) and None
    ),
    "arithmetic.decay": lambda chip, n: (
        population(1, sw.LIF() if n == "outside" else None) and None
    ),
}
"""Networks that take exactly a number of what a rule is about."""


def _ends(value: Any) -> tuple[Any, Any]:
    """The last number that is allowed, and the first that is not."""
    if isinstance(value, int):
        return value, value + 1
    if isinstance(value, str) or isinstance(value[0], str):
        return "inside", "outside"
    return value[-1], next(n for n in count(1) if n not in value)


def _asked() -> list[tuple[str, str]]:
    """Every rule of every chip; a chip with a leak has no neurons that leak too much."""
    found = []
    for name in chips.names():
        for number, figure in chips.profile(name).figures.items():
            leaks = number == "arithmetic.decay" and figure.value != "none"
            if number in RULES and not leaks:
                found.append((name, number))
    return found


FEWER = ("cores", "core_neurons", "core_axons_out")
"""Numbers that a network reaches with as many objects, or neurons, as they say."""


def _small(name: str) -> chips.Chip:
    """A chip with 24 of what it has more of and networks of a test would be large for."""
    chip = chips.profile(name)
    fewer = {n: 24 for n in FEWER if (getattr(chip.limits, n) or 0) > 24}
    figures = {f"limits.{n}": replace(chip.figures[f"limits.{n}"], value=24) for n in fewer}
    limits = replace(chip.limits, **fewer)  # type: ignore[arg-type]
    return replace(chip, limits=limits, figures={**chip.figures, **figures})


def _broken(chip: chips.Chip, number: str, value: Any) -> dict[str, chips.Broken]:
    """The rules that a network breaks which takes such a number."""
    with sw.Network() as network:
        CASES[number](chip, value)
    return {broken.rule: broken for broken in chips.fits(network, chip).broken}


def test_every_rule_has_a_case() -> None:
    """A rule that is registered is tested, and every limit has a rule."""
    limits = {f"limits.{f.name}" for f in fields(chips.Limits) if f.name not in OF_A_PLACEMENT}

    assert set(CASES) == set(RULES)
    assert limits <= set(RULES)
    assert {number for _, number in _asked()} == set(RULES)


@pytest.mark.parametrize(("name", "number"), _asked())
def test_a_network_just_inside_and_one_just_outside(name: str, number: str) -> None:
    """The network inside keeps the rule. The one outside breaks it: with reason, remedy, source."""
    chip = _small(name)
    value = chip.figures[number].value
    if number in ("limits.core_kernel_words", "limits.core_neuron_words"):
        value = max(value)  # type: ignore[type-var]
    inside, outside = _ends(value)

    broken = _broken(chip, number, outside)

    assert number not in _broken(chip, number, inside)
    assert number in broken
    assert broken[number].source == chip.figures[number].source
    assert broken[number].reason in str(broken[number])
    assert broken[number].remedy in str(broken[number])


SPIKING = {
    e.id: e.neuron_type for e in of_each_type(neuron_type_examples()) if e.neuron_type.spiking
}


@pytest.mark.parametrize("name", SPIKING)
def test_a_leak_and_a_reset_are_seen_in_neurons_of_every_type(name: str) -> None:
    """On a chip that has no leak and takes thresholds away: refused, and told."""
    kind = SPIKING[name]
    with sw.Network() as network:
        population(1, kind, label="asked")
    fit = chips.fits(network, "speck")

    assert ("arithmetic.decay" in {broken.rule for broken in fit.broken}) == kind.leaks
    told = any("sets those of 'asked' to zero" in sentence for sentence in fit.assumptions)
    assert told == kind.hard_reset


@pytest.mark.parametrize("name", chips.names())
def test_signed_digits_fit_where_a_program_doubles_states(name: str) -> None:
    """Loihi 2 says so, and takes two states a neuron; others are refused, in one reason."""
    with sw.Network() as network:
        dense(population(4, label="plain"), given(4))
        dense(population(4, sw.BipolarIntegrateAndFire.digits(4), label="said"), given(4))
    found = chips.fits(network, name)
    reasons = [broken.reason for broken in found.broken if broken.layer == "said"]
    told = [said for said in found.assumptions if "'said' doubles its two states" in said]
    if name == "loihi2":
        plain, said = (layer.shares["core_bytes"] for layer in found.layers)
        room = chips.profile(name).limits.core_bytes or 0
        assert (reasons, len(told)) == ([], 1)
        assert (said - plain) * room == pytest.approx(4 * 4)
    else:
        about = [reason for reason in reasons if "signed digits" in reason]
        assert (len(about), told) == (1, [])
        assert not any("either sign" in reason for reason in reasons)
