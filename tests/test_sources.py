"""The source networks of the benchmarks: images, training that goes on after a kill, conversion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import (
    fits,
    kept,
    published_curve,
    regularised,
    sources,
    texts_and_ratings,
    training,
)
from benchmarks.image_sets import ImageSet
from benchmarks.training import Normalised, Recipe
from safetensors import safe_open
from torch import nn

import spikewright as sw

IN_KERAS = {"mnist": published_curve.network, "regularised_mnist": regularised.network}
QUICK = Recipe(((2, 0.1), (2, 0.05)), batch=16, shift=1, mirror=True)


def images(n: int, size: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth random bytes `(n, size, size, channels)`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, size // 4, size // 4, channels), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def two_classes(n: int = 64) -> ImageSet:
    """Images whose label is whether they are bright."""
    x = images(2 * n)
    y = (x.mean(axis=(1, 2, 3)) > 128).astype(np.int64)
    return ImageSet(x[:n], y[:n], x[n:], y[n:])


def small() -> nn.Module:
    """A network with batch normalisation, so that more than weights must be kept."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * 36, 2),
    )  # fmt: skip


# -- images --


# -- training --


@pytest.mark.parametrize("until", [1, 2, 3])  # within a cycle, between two, within the second
def test_a_training_that_was_killed_ends_with_the_same_weights(tmp_path: Path, until: int) -> None:
    """Stopped after an epoch, begun again in a new module, it ends where an unbroken one does."""
    data = two_classes()
    whole = training.trained(small(), data, QUICK, tmp_path / "whole.pt")
    training.trained(small(), data, QUICK, tmp_path / "broken.pt", until=until)
    torch.manual_seed(99)
    other = small()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_()
    resumed = training.trained(other, data, QUICK, tmp_path / "broken.pt")
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name].numpy(), value.numpy(), name)


def test_training_learns(tmp_path: Path) -> None:
    """Bright and dark images are told apart after a few epochs, well above chance."""
    data = two_classes(128)
    recipe = replace(QUICK, cycles=((6, 0.1),))
    module = training.trained(small(), data, recipe, tmp_path / "learned.pt")
    x = Normalised.by(data.x_train)(data.x_test)
    assert training.accuracy(module, x, data.y_test) > 0.75


# -- networks --


@pytest.mark.parametrize(
    ("make", "shape", "populations"),
    [(sources.fashion_network, (1, 28, 28), 3), (lambda: sources.resnet(1, 4), (3, 16, 16), 7)],
    ids=["fashion", "resnet"],
)
def test_networks_convert_exactly(make, shape: tuple[int, ...], populations: int) -> None:
    """Every ReLU is a population, and the rate network computes what PyTorch does."""
    torch.manual_seed(0)
    module = make()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, *shape)).astype(np.float32)
    with torch.no_grad():
        module.train()(torch.from_numpy(rng.normal(size=(16, *shape)).astype(np.float32)))
    conversion = sw.convert(module.eval(), example_input=x[:1], spiking=True)
    conversion.verify(x)
    assert len(conversion.populations()) == populations


def test_kept_weights_are_taken_in_place_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same recipe and images, in any framework; of other ones nothing is taken."""
    x = images(40, 28, 1)
    data = ImageSet(x, np.arange(40) % 10, x, np.arange(40) % 10)
    recipe = replace(sources.FASHION, cycles=((1, 0.1),), batch=20)
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "weights")
    first, second = tmp_path / "first", tmp_path / "second"
    made = (
        lambda cache: sources.mnist(data, cache, epochs=1),
        lambda cache: sources.of_pytorch("fashion_mnist", data, cache, recipe),
    )
    for make in made:
        trained = make(first)
        kept.save(trained.weights(), trained.origin, 0.9)
        again = make(second)
        np.testing.assert_array_equal(trained.outputs(trained.x_test), again.outputs(again.x_test))
        assert not second.exists()
    other = ImageSet(255 - x, data.y_train, x, data.y_test)
    assert kept.load(kept.Origin.of("mnist_0", "another recipe", data)) is None
    assert kept.load(kept.Origin.of("fashion_mnist_0", recipe, other)) is None


@pytest.mark.parametrize(
    "path", sorted(kept.FOLDER.glob("*.safetensors")), ids=lambda path: path.stem
)
def test_kept_weights_say_how_they_were_made(path: Path) -> None:
    """Recipe, data and an accuracy that is good enough; the names are those of the network.

    Of what `fits` has fitted biases, and what neurons were given by layer.
    """
    assert path.stat().st_size <= kept.LARGEST
    name = path.stem.rpartition("_")[0]
    fitted = name.startswith("fitted_")
    if fitted:
        plan = fits.PLANS[name.removeprefix("fitted_")]
        name = plan.network
    with safe_open(path, "numpy") as file:
        origin, names = file.metadata(), set(file.keys())
    assert len(origin["data"]) == 64 and "recipe" in origin
    good = sources.GOOD | sources.TEXTS_AND_RATINGS
    assert float(origin["accuracy"]) >= (0.6 if fitted else good.get(name, 0.96))
    if name in IN_KERAS:
        expected = {weight.path for weight in IN_KERAS[name]().weights}
    else:
        makers = {of: task.make for of, task in texts_and_ratings.TASKS.items()}
        makers |= {of: make for of, (make, _) in sources.NETWORKS.items()}
        expected = set(makers[name]().state_dict())
    if not fitted:
        assert names == expected
        return
    assert origin["recipe"] == f"{plan}, seed 0"
    of_neurons = {name for name in names if name.split(" of ")[0] in fits.OF_NEURONS}
    assert of_neurons and names - of_neurons <= expected
    assert all(name.endswith(".bias") for name in names - of_neurons)
