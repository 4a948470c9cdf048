"""The benchmarks of whole families: which networks, at what rate, and what their tables say."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torchvision
from benchmarks import depth, families
from benchmarks.families import KERAS, MEMBERS, TORCHVISION

import spikewright as sw
from spikewright.frontends.keras.importing import import_keras
from spikewright.graph import Graph, Node
from spikewright.graph.layers import Activation, Affine, Input

keras = import_keras()


def test_every_classification_family_of_torchvision_has_a_member() -> None:
    """A file of torchvision's models without a member would be a family left out."""
    names = torchvision.models.list_models(module=torchvision.models)
    modules = {name: torchvision.models.get_model_builder(name).__module__ for name in names}

    assert set(TORCHVISION) <= set(names)
    assert {modules[name] for name in TORCHVISION} == set(modules.values())


def test_every_family_of_keras_applications_has_a_member() -> None:
    """Likewise; VGG19 is of VGG16's family."""
    public = vars(keras.applications)
    modules = {name: item.__module__ for name, item in public.items() if inspect.isfunction(item)}

    assert {modules[name] for name in KERAS} == set(modules.values()) - {modules["VGG19"]}


def test_what_is_refused_is_named_below_the_table() -> None:
    """Its row says refused, figures that do not exist are dashes."""
    rows = {
        "resnet18": {
            "input": "32 x 32", "layers": 69, "parameters": 11_699_112, "seconds": 4.2,
            "worst": 1.3e-6, "guarantee": "convergent", "refused": "",
        },
        "keras/NASNetMobile": {"input": "32 x 32", "refused": "layer 'a' (Sparse): no"},
    }  # fmt: skip
    page = families.text(rows, {"torch": "2"})

    assert "| resnet18 | ResNet | 32 x 32 | 69 | 11,699,112 | 4 | 1.3e-06 | convergent |" in page
    assert "| keras/NASNetMobile | NASNet | 32 x 32 | - | - | - | - | refused |" in page
    assert "1 of 2 are converted. Refused:\n\n* keras/NASNetMobile: layer 'a' (Sparse): no" in page
    assert set(rows) < set(MEMBERS)


def test_a_member_is_read_verified_and_converted() -> None:
    """The smallest of them, as the benchmark does it."""
    row = families.measured("squeezenet1_1")

    assert row["refused"] == ""
    assert row["worst"] < families.TOLERANCE
    assert row["guarantee"] == "convergent"
    assert row["compared"] <= row["layers"]


def _network() -> Graph:
    rng = np.random.default_rng(0)
    return Graph(
        (
            Node("x", Input((20,))),
            Node("dense", Affine(rng.normal(size=(50, 20))), ("x",), "dense"),
            Node("relu", Activation("relu"), ("dense",), "relu"),
            Node("end", Affine(rng.normal(size=(5, 50))), ("relu",), "end"),
        ),
        {"y": "end"},
    )


def test_the_scale_makes_neurons_spike_at_the_wanted_rate() -> None:
    """One step in ten on average, within a spike of each neuron over the run."""
    conversion = sw.convert(_network(), spiking=True)
    x = np.random.default_rng(1).normal(size=(8, 20))
    scale = depth.scale_for(conversion, x, depth.RATE)
    conversion.populations()["relu"].rate_scale = scale
    run = conversion.run(x, 1000, dt=1.0, engine="reference", progress=False)

    assert run.spike_counts()["relu"].sum() / (8 * 50 * 1000) == pytest.approx(0.1, abs=1e-3)


def test_the_slope_is_that_of_a_power_law() -> None:
    """Of the last three points, whatever the first do."""
    at = [16, 32, 64, 128]

    assert depth.slope(at, [9.0, *(3.0 / n for n in at[1:])]) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("errors", "says"),
    [((0.05, 0.024), "holds"), ((0.05, 0.04), "FAILS"), ((0.08, 0.01), "FAILS")],
)
def test_limits_are_for_both_lengths(errors: tuple[float, float], says: str) -> None:
    """Seven percent at 1024 steps and half of that at 2048."""
    found = {"at": [1024, 2048], "errors": errors}

    assert depth.verdict(found, 0.07).endswith(says)
    assert depth.verdict(found, None) == ""
    assert depth.verdict({"at": [1024], "errors": errors[:1]}, 0.07).count("limit") == 1
