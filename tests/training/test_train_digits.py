"""Laws of trainings and modules of signed digits: their network is the rounded twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from trainings import MODELS, assert_same_run, learn, moved_arrays

import spikewright as sw
from slowly import in_turn
from spikewright.choosing.silent_steps import MOST_APART, DigitComparison
from spikewright.errors import ConversionError, SimulationError, TrainingError
from spikewright.training.gradients.spiking import spike_counts
from spikewright.training.gradients.straight_through import StraightThroughNetwork
from spikewright.training.quantized_layers import quantized_layers_of, trained_graph

STEPS = 3
HELD = slice(800, 1000)


def said(model: nn.Module, x: Any, silent: Any = "auto", steps: int = STEPS) -> sw.Conversion:
    """A conversion to signed digits whose units are those of the least error on some samples."""
    code = sw.SignedDigits(steps, silent)
    return sw.convert(model, spiking=True, coding=code, example_input=x[:1], calibration=x[:200])


def trained(conversion: sw.Conversion, x: Any, **how: Any) -> Any:
    """A short training without labels, whose last epoch is kept."""
    usual = {"epochs": 3, "learning_rate": 2e-3, "keep": "last", "progress": False}
    return conversion.train(x, **{**usual, **how})


@pytest.fixture(scope="module")
def deep(digits: tuple[Any, Any]) -> nn.Module:
    """A trained network of four layers: one is normalised, one has values of both signs."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 40),
        nn.GELU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 10),
    )  # fmt: skip
    return learn(model, digits, 5)


def whole(conversion: sw.Conversion) -> sw.Conversion:
    """The same network, each layer of which waits for all of its input."""
    code: Any = conversion.coding
    numbers = {**conversion.resolved, "coding": sw.SignedDigits(code.steps, code.steps)}
    return conversion.replace(**numbers)


@pytest.mark.parametrize("name", in_turn(MODELS))
def test_what_is_trained_is_the_network(name: str) -> None:
    """Every neuron's digits, their spikes and the outputs are the engines', for every layer.

    So are the outputs of the module, which has no steps.
    """
    model = MODELS[name]
    made = {"spiking": True, "example_input": model.example()}
    names = sw.convert(model.of_torch(), **made).graph.inputs
    x = dict(zip(names, map(model.moved, model.inputs()), strict=True))
    try:
        code = sw.SignedDigits(STEPS, STEPS)
        conversion = sw.convert(model.of_torch(), **made, coding=code, calibration=x)
    except ConversionError as error:
        assert "levels of its own" in str(error)
        return
    run = conversion.run(x, precision="float64", progress=False)
    quantized = quantized_layers_of(conversion, 0.001)
    network = StraightThroughNetwork(trained_graph(conversion), quantized, STEPS, torch.float64)
    inputs = {n: torch.from_numpy(v) for n, v in conversion.as_inputs(x).items()}
    with torch.no_grad():
        found, (_, counts) = spike_counts(network, inputs), network(inputs)
    for layer, population in run.populations.items():
        np.testing.assert_array_equal(population.net, counts[layer])
        np.testing.assert_array_equal(population.net, found.net[layer])
        np.testing.assert_array_equal(population.totals, found.all[layer])
    answers = conversion.to_torch(precision="float64")(inputs)
    answers = answers if isinstance(answers, dict) else {next(iter(run.raw)): answers}
    for output, values in answers.items():
        expected = run.predict("mean", output) if len(answers) > 1 else run.predict()
        np.testing.assert_allclose(values.detach(), expected, rtol=1e-9, atol=1e-9)


def test_the_loss_is_that_of_the_conversion(digits: tuple[Any, Any]) -> None:
    """With all input known: of values the mean square error, over the variance of the source's."""
    torch.manual_seed(0)
    x = digits[0]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1)).eval()
    result = trained(said(model, x), x[:400], validation=x[HELD])
    after = result.history[-1].held_back
    run = whole(result.conversion).run(x[HELD], progress=False)
    with torch.no_grad():
        wanted, first = (model(torch.from_numpy(part)).numpy() for part in (x[HELD], x[:400]))
    loss = np.mean((run.predict() - wanted) ** 2) / first.var()
    assert after.loss == pytest.approx(loss, rel=1e-4)
    spikes = sum(float(counts.sum()) for counts in run.spike_counts().values())
    assert after.spikes == pytest.approx(spikes / len(wanted), rel=1e-3)


@pytest.mark.parametrize("steps", [2, 3])
def test_a_trained_network_is_nearer_to_its_source(
    deep: nn.Module, digits: tuple[Any, Any], steps: int
) -> None:
    """In outputs on samples that nobody has seen, with the silent steps of "auto"."""
    x = digits[0]
    before = said(deep, x, steps=steps)
    after = trained(before, x[:800], epochs=30, learning_rate=3e-3).conversion
    with torch.no_grad():
        wanted = deep(torch.from_numpy(x[HELD])).numpy()
    far, near = (
        np.square(conversion.run(x[HELD], progress=False).predict() - wanted).mean()
        for conversion in (before, after)
    )
    assert near < 0.95 * far


def test_silent_steps_are_found_anew(deep: nn.Module, digits: tuple[Any, Any]) -> None:
    """Where "auto" was asked for, on samples to train on; others stay what they are."""
    x = digits[0]
    after = trained(said(deep, x), x[:300]).conversion
    assert after.arguments["coding"] == sw.SignedDigits(STEPS)
    assert after.coding.silent_steps != "auto"
    compared = DigitComparison(after, after.as_inputs(x[:128]))
    assert compared.distance()[0] <= 1.05 * MOST_APART * compared.twin
    assert trained(said(deep, x, 2), x[:300]).conversion.coding == sw.SignedDigits(STEPS, 2)


def test_weights_go_back_and_scales_may_follow(deep: nn.Module, digits: tuple[Any, Any]) -> None:
    """The model takes the weights; it, converted with the trained choices, is the network."""
    x = digits[0]
    model = nn.Sequential(*deep)
    state = {name: value.clone() for name, value in deep.state_dict().items()}
    result = trained(said(model, x), x[:300])
    try:
        made = result.write_back(model)
        choices = result.conversion.resolved
        again = sw.convert(made, example_input=x[:1], **choices)
        assert_same_run(again, result.conversion, x[:20], steps=STEPS)
    finally:
        deep.load_state_dict(state)
    more = result.scaled(1.25).conversion.resolved["scale_firing_rates"]
    for name, scale in result.conversion.resolved["scale_firing_rates"].items():
        np.testing.assert_allclose(more[name], 1.25 * np.asarray(scale))


def test_kept_units_stay_where_they_may_not_change(
    deep: nn.Module, digits: tuple[Any, Any]
) -> None:
    """Those of the conversion; chosen ones are those of the code's own rule, one a channel."""
    x = digits[0]
    scale = dict.fromkeys(said(deep, x, 1).populations(), 400.0)
    before = said(deep, x).replace(scale_firing_rates=scale)
    for thresholds in ("kept", "chosen"):
        how = {"thresholds": thresholds, "trainable": "biases", "epochs": 1, "validation": 0.0}
        after = trained(before, x[:300], **how).conversion
        assert {field for _, field in moved_arrays(before.graph, after.graph)} <= {"bias", "beta"}
        rule = before.replace(scale_firing_rates=None, calibration=x[:300])
        wanted = (before if thresholds == "kept" else rule).resolved["scale_firing_rates"]
        for name, scale in after.resolved["scale_firing_rates"].items():
            np.testing.assert_allclose(scale, wanted[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"method": "time"}, "method: signed digits have no place for it, since with all input"),
        ({"spikes": 100.0}, "spikes: signed digits have no place"),
        ({"trainable": ("biases", "initial_voltage")}, "initial_voltage: signed digits have no"),
        ({"trainable": "neuron_scales"}, "neuron_scales: signed digits have no place.*maxima"),
        ({"dt": 0.002}, r"dt=0\.002.*steps of 0\.001 s"),
    ],
    ids=str,
)
def test_what_has_no_place_is_refused(
    digits: tuple[Any, Any], how: dict[str, Any], message: str
) -> None:
    """By name, before anything is trained."""
    x = digits[0]
    pooled = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()).eval()
    with pytest.raises(TrainingError, match=message):
        trained(said(pooled, x, 1), x[:100], **how)


def test_steps_are_those_of_the_code(deep: nn.Module, digits: tuple[Any, Any]) -> None:
    """Left out, or equal; others are refused as `run` refuses them, and rates without any."""
    x = digits[0]
    conversion = said(deep, x, 1)
    trained(conversion, x[:100], steps=STEPS, epochs=1)
    for call in (lambda: trained(conversion, x[:100], steps=5), lambda: conversion.to_torch(5)):
        with pytest.raises(SimulationError, match="digits in 3 steps each, got steps=5"):
            call()
    rates = sw.convert(deep, spiking=True, example_input=x[:1])
    with pytest.raises(TrainingError, match="steps must be a whole number from 1, got None"):
        trained(rates, x[:100])
    code = sw.RateCode(2)
    coded = sw.convert(deep, spiking=True, example_input=x[:1], coding=code, calibration=x[:100])
    assert trained(coded, x[:100], epochs=1).conversion.coding == code


def test_reconstruction_is_refused(deep: nn.Module, digits: tuple[Any, Any]) -> None:
    """What it would fit is no argument that digits have; the sentence says what does it."""
    x = digits[0]
    with pytest.raises(TrainingError, match=r'not reconstructed: .*trainable=\("biases", "scal'):
        said(deep, x, 1).reconstruct(x[:50])


def test_a_module_is_trained_by_a_loop_of_ones_own(
    deep: nn.Module, digits: tuple[Any, Any]
) -> None:
    """Its gradient is that of the values before rounding; the conversion takes what was learned."""
    x, y = digits
    conversion = said(deep, x, 2, steps=2)
    module = conversion.to_torch()
    images, labels = (torch.from_numpy(part[:400]) for part in (x, y))
    counted = {"2.num_batches_tracked"}  # which is no value of the network
    assert module.state_dict().keys() == deep.state_dict().keys() - counted
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(module(images), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    found = conversion.load_state(module.state_dict()).run(x[HELD], progress=False).predict()
    answers: NDArray = module(torch.from_numpy(x[HELD])).detach().numpy()
    close = np.isclose(found, answers, atol=1e-4).mean()
    assert close > 0.99  # in float32 a value may be at the other side of an edge


def test_a_module_without_steps_says_so(deep: nn.Module, digits: tuple[Any, Any]) -> None:
    """What is of steps and their spikes is refused by name."""
    conversion = said(deep, digits[0], 1)
    for how in ({"surrogate": "sigmoid"}, {"reset": "attached"}, {"checkpoint": 2}):
        with pytest.raises(TrainingError, match=f"{next(iter(how))}=.*answers whole samples"):
            conversion.to_torch(**how)
    with pytest.raises(TrainingError, match=r"readout='last': .*whole samples"):
        conversion.to_torch(readout="last")
    with pytest.raises(TrainingError, match=r"through: .*whole samples"):
        conversion.to_torch().through(torch.from_numpy(digits[0][:2]))
