"""Truth values in the place of numbers, and arrays with a mask, are refused wherever they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright._base.arguments import as_numbers, as_real
from spikewright.conversion import watch
from spikewright.errors import SpikewrightError
from spikewright.measure import accuracy

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
Y = np.arange(8) % 3
MASKED = np.ma.masked_greater(X, 0.5)
MODULE = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))


def _converted(**choices: Any) -> sw.Conversion:
    return sw.convert(MODULE, **{"example_input": X[:1], "spiking": True, **choices})


RULE = sw.MinimumError(steps=4, spikes_per_step=1)
# Every place that takes data.
DATA: Mapping[str, Callable[[Any], object]] = {
    "run": lambda x: _converted().run(x, 2, progress=False),
    "run, by name": lambda x: _converted().run({"input": x}, 2, progress=False),
    "run, in a list": lambda x: _converted().run(list(x), 2, progress=False),
    "run, encoded": lambda x: _converted().run(
        x, 2, encoder=sw.encoders.Regular(100.0), progress=False
    ),
    "evaluate": lambda x: _converted().evaluate(x, Y, 2, progress=False),
    "evaluate, batches": lambda x: _converted().evaluate([(x, Y)], None, 2, progress=False),
    "y": lambda x: _converted().evaluate(X, x[:, 0], 2, progress=False),
    "accuracy": lambda x: accuracy(_converted().run(X, 2, progress=False), x[:, 0]),
    "calibrate": lambda x: _converted().calibrate(x, progress=False),
    "calibration": lambda x: _converted(scale_firing_rates=RULE, calibration=x),
    "correction": lambda x: _converted(bias_correction=sw.BiasCorrection(2), calibration=[x]),
    "verify": lambda x: _converted().verify(x),
    "diagnose": lambda x: _converted().diagnose(x, None, 2, progress=False),
    "stream": lambda x: _converted().stream(batch_size=8).step(x),
    "watch": lambda x: watch(_converted(), x[:1], 2),
    "train": lambda x: _converted().train(x, steps=2, epochs=1, progress=False),
    "reconstruct": lambda x: _converted().reconstruct(x, steps=2, epochs=1, progress=False),
    "sweep": lambda x: sw.sweep(_converted(), x, steps=2, progress=False),
    "example_input": lambda x: _converted(example_input=x[:1]),
    "fed to a node": lambda x: _simulated(x),
    "a node's constant": lambda x: sw.Node(x),
    "a transform": lambda x: sw.Dense(x),
}  # fmt: skip


def _simulated(x: Any) -> object:
    with sw.Network() as network:
        node = sw.Node(np.zeros(4))
        sw.Probe(node)
    with sw.Simulator(network, progress=False) as simulator:
        return simulator.run_steps(1, {node: x[0]})


@pytest.mark.parametrize("place", DATA)
def test_masked_data_is_refused_wherever_data_goes(place: str) -> None:
    """With how many values are masked and the next move; without a masked value it is data."""
    with sw.Network(), pytest.raises(SpikewrightError, match=r"masked.* x\.filled\(value\)"):
        DATA[place](MASKED)
    if place not in ("y", "accuracy"):  # which take whole numbers
        with sw.Network():
            DATA[place](np.ma.array(X))


# Every argument of an ensemble, a connection and `convert` that takes numbers.
NUMBERS: Mapping[str, Callable[[Any], object]] = {
    **{
        name: lambda v, name=name: _converted(**{name: v})
        for name in ("scale_firing_rates", "initial_voltage", "bias_correction", "synapse",
                     "sequence_step", "max_spikes_per_step")
    },
    **{
        name: lambda v, name=name: sw.Ensemble(3, 1, **{"gain": 1.0, "bias": 0.0, name: v})
        for name in ("gain", "bias", "rate_scale", "initial_voltage", "encoders", "eval_points",
                     "radius", "seed", "n_eval_points", "restart_every")
    },
    **{
        name: lambda v, name=name: sw.Ensemble(3, 1, **{name: v})
        for name in ("max_rates", "intercepts")
    },
    "initial_state": lambda v: sw.Ensemble(3, 1, initial_state={"refractory_time": v}),
    "a transform": lambda v: sw.Connection(sw.Node([0.0]), sw.Node(size_in=1), transform=v),
    "a delay": lambda v: sw.Connection(sw.Node([0.0]), sw.Node(size_in=1), delay=v),
    "an amplitude": lambda v: sw.IntegrateAndFire(amplitude=v),
    "steps": lambda v: _converted().run(X, v, progress=False),
    "dt": lambda v: _converted().run(X, 2, v, progress=False),
    "the rtol of verify": lambda v: _converted().verify(X, v),
}  # fmt: skip


@pytest.mark.parametrize("place", NUMBERS)
def test_a_truth_value_is_no_number(place: str) -> None:
    """Alone, in an array and in a list, where the argument takes these at all."""
    for value in (True, np.True_, np.ones(3, bool), [True, 2.0, 3.0]):
        with sw.Network(), pytest.raises((SpikewrightError, ValueError)):
            NUMBERS[place](value)


def test_truth_values_are_data() -> None:
    """Images of zeros and ones are as good in one type as in the other."""
    ones = X > 0
    found = [_converted().run(x, 4, progress=False).predict() for x in (ones, ones * 1.0)]

    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize(
    "value", [True, [True, 1.5], np.array([None]), "1", ["1"], 1j, np.datetime64("2020"), MASKED]
)
def test_numbers_are_real_numbers(value: Any) -> None:
    """Text, dates, complex numbers, nothing, truth values and masks are none."""
    with pytest.raises((TypeError, ValueError)):
        as_numbers(value)


def test_parameters_are_copies_and_data_is_not() -> None:
    """A parameter does not change with the user's array; data is not held twice."""
    given = np.ones(3)

    assert not np.shares_memory(as_numbers(given), given)
    assert np.shares_memory(as_real(given), given)
