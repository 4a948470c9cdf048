"""`Conversion.reconstruct`: a better network for few steps in which no weight has changed."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from trainings import STEPS, assert_same_run, moved_arrays

import spikewright as sw
from spikewright import demo
from spikewright.cli import main
from spikewright.errors import TrainingError
from spikewright.lower.populations import Roles
from spikewright.training.quantized_layers import trained_graph
from spikewright.training.reconstruction import added_biases, out_of_reach

QUICK = {"steps": STEPS, "epochs": 8, "learning_rate": 5e-3, "progress": False}


@pytest.fixture(scope="module")
def capped(conversion: sw.Conversion) -> sw.Conversion:
    """At most one spike of either sign a step."""
    return conversion.replace(max_spikes_per_step=1)


@pytest.fixture(scope="module")
def made(capped: sw.Conversion, digits: tuple[Any, Any]) -> sw.Conversion:
    """What is reconstructed of it, from images alone."""
    return capped.reconstruct(digits[0][:800], **QUICK)


def weights(conversion: sw.Conversion) -> list[bytes]:
    """All numbers in the transforms of a network, to the last bit."""

    def numbers(part: Any) -> list[bytes]:
        if isinstance(part, np.ndarray):
            return [part.tobytes()]
        if is_dataclass(part):
            part = tuple(getattr(part, entry.name) for entry in fields(part))
        return [n for item in part for n in numbers(item)] if isinstance(part, tuple) else []

    return [n for c in conversion.network.all_connections for n in numbers(c.transform)]


def test_no_weight_changes(capped: sw.Conversion, made: sw.Conversion) -> None:
    """Nor the model: its graph is the same, and so is every connection; biases are others."""
    assert made.graph is capped.graph and made.source is capped.source
    assert weights(made) == weights(capped) and len(weights(made)) >= 3
    for name, ensemble in made.populations().items():
        assert not np.array_equal(ensemble.bias, capped.populations()[name].bias)


def test_outputs_come_closer_without_labels(
    capped: sw.Conversion, made: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """On samples that it never saw, closer to the source than with rule and corrected start."""
    x = digits[0][800:]
    rule, start = sw.MinimumError(STEPS, share=0.8), sw.VoltageCorrection(STEPS)
    chosen = {"scale_firing_rates": rule, "initial_voltage": start, "calibration": digits[0][:500]}
    (wanted,) = capped.source.call({capped.graph.inputs[0]: x}).values()
    gaps = [
        np.square(c.run(x, steps=STEPS, progress=False).predict("mean") - wanted).mean()
        for c in (capped.replace(**chosen), made)
    ]
    assert gaps[1] < 0.8 * gaps[0]


def test_all_that_changed_are_arguments(
    capped: sw.Conversion, made: sw.Conversion, digits: tuple[Any, Any], tmp_path: Path
) -> None:
    """Given to another conversion they make the same network, as does its file."""
    x = digits[0][800:820]
    made.save(tmp_path / "made.sw")
    for other in (sw.load(tmp_path / "made.sw"), capped.replace(**made.resolved)):
        assert_same_run(made, other, x)
    assert {e.status for e in made.trace if e.stage == "reconstruct"} == {"approximated"}


class Branches(nn.Module):
    """Biases before sums, branches, normalisation, pooling and padding, and one of an output."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm, self.pool = nn.BatchNorm2d(3), nn.AvgPool2d(2)
        self.c, self.out = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(48, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two layers with neurons, the second of which reads what the first does, too."""
        y = self.pool(self.norm(self.b(self.a(x))))
        return self.out(torch.flatten(torch.relu(y + self.c(torch.relu(y))), 1))


def test_added_biases_make_up_for_those_of_the_source(digits: tuple[Any, Any]) -> None:
    """The model with other biases, and the model with what they add: the same network."""
    torch.manual_seed(1)
    model, x = Branches().eval(), digits[0][:50]
    before = sw.convert(model, example_input=x[:1])
    with torch.no_grad():
        for bias in (model.a.bias, model.b.bias, model.c.bias, model.norm.bias):
            bias += torch.randn(3)
    after = sw.convert(model, example_input=x[:1])
    neurons = set(before.populations())
    added = added_biases(trained_graph(before), trained_graph(after), neurons)
    assert sorted(value.shape for value in added.values()) == [(3, 4, 4), (3, 4, 4)]
    made = before.replace(bias_correction=added)
    plain, found, wanted = (
        c.run(x, steps=1, precision="float64", progress=False).predict()
        for c in (before, made, after)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert np.abs(plain - wanted).max() > 0.1


def test_the_bias_of_an_output_stays(capped: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """No neuron's current holds it; with the model's own biases it is trained."""
    how = {**QUICK, "epochs": 1, "trainable": ("biases",), "loss": "imitation", "keep": "last"}
    trained = capped.train(digits[0][:200], **how).conversion
    last = [node.name for node in capped.graph if node.layer.kind == "Affine"][-1]
    assert np.any(trained.graph[last].layer.bias != capped.graph[last].layer.bias)
    neurons = Roles(capped.canonical).activations
    fixed = set(out_of_reach(trained_graph(capped), neurons))
    assert fixed == {(last, "weight"), (last, "bias")}


@pytest.mark.parametrize("thresholds", ["kept", "chosen"])
def test_biases_of_steps_stay(
    capped: sw.Conversion, digits: tuple[Any, Any], thresholds: str
) -> None:
    """They are kept with thresholds and measured anew for others; biases of all steps join them.

    A training of weights has them as well.
    """
    x = digits[0][:100]
    rule = {"scale_firing_rates": sw.MinimumError(STEPS), "calibration": x}
    own = capped.replace(**rule, bias_correction=sw.StepCorrection(STEPS))
    how = {**QUICK, "epochs": 1, "thresholds": thresholds}
    still = own.reconstruct(x, **{**how, "learning_rate": 1e-9})
    fitted = own.reconstruct(x, **{**how, "learning_rate": 1e-2})
    trained = own.train(x, **{**how, "learning_rate": 1e-9}).conversion
    for name, biases in own.resolved["bias_correction"].items():
        found = (c.resolved["bias_correction"][name] for c in (still, fitted, trained))
        after, moved, beside = found
        assert biases.any() and biases.shape == after.shape == moved.shape
        assert np.allclose(after, biases, atol=1e-6) == (thresholds == "kept")
        assert np.allclose(beside, after, atol=1e-6)
        if thresholds == "kept" and not np.array_equal(moved, biases):
            steady = (moved - biases) - (moved - biases)[:1]
            np.testing.assert_allclose(steady, 0.0, atol=1e-6)
    assert all(e.noise is not None for e in trained.populations().values())


def test_mistakes(capped: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Rate neurons have nothing to fit, and settings are checked as those of a training."""
    with pytest.raises(TrainingError, match="spiking=True"):
        capped.replace(spiking=False, max_spikes_per_step=None).reconstruct(digits[0][:50], **QUICK)
    with pytest.raises(TrainingError, match="timeout must be None or a number above 0, got -1"):
        capped.reconstruct(digits[0][:50], **{**QUICK, "timeout": -1})
    with pytest.raises(TrainingError, match=r"thresholds must be one of.*'kept'.*got 'some'"):
        capped.reconstruct(digits[0][:50], **QUICK, thresholds="some")


def test_the_command(tmp_path: Path) -> None:
    """From files to files: the saved network has the model's graph."""
    x, _ = demo.held_out(100)
    np.savez(tmp_path / "x.npz", x=x)
    data = ["--data", str(tmp_path / "x.npz")]
    given = ["train", str(demo.MODEL), "--reconstruct", *data, "--steps", "2"]
    more = ["--epochs", "2", "--max-spikes-per-step", "1", "-o", str(tmp_path / "made.sw")]
    found = CliRunner().invoke(main, [*given, *more])
    assert found.exit_code == 0, found.output
    assert f"Saved as {tmp_path / 'made.sw'}" in found.stdout and "relu1: " in found.stdout
    refused = CliRunner().invoke(main, [*given, *more, "--thresholds", "kept"])
    assert refused.exit_code == 2 and "is a model, which has none" in refused.stderr
    made, before = sw.load(tmp_path / "made.sw"), sw.convert(demo.MODEL)
    assert not moved_arrays(before.graph, made.graph)
