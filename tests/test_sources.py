"""The source networks of the benchmarks: images, training that goes on after a kill, conversion."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import (
    family_networks,
    fits,
    image_sets,
    kept,
    published_curve,
    regularised,
    sources,
    texts_and_ratings,
    training,
)
from benchmarks.family_networks import Rows, VisionTransformer
from benchmarks.image_sets import ImageSet
from benchmarks.training import AdamRecipe, Normalised, Recipe
from hypothesis import given
from hypothesis import strategies as st
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


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """The error names what the file holds and what it should hold; images must be bytes."""
    np.savez(tmp_path / "a.npz", pixels=np.zeros(3))
    with pytest.raises(ValueError, match="holds pixels; images are x_train"):
        image_sets.load(tmp_path / "a.npz")
    x = np.zeros((2, 4, 4))
    np.savez(tmp_path / "b.npz", x_train=x, y_train=[0, 1], x_test=x, y_test=[0, 1])
    with pytest.raises(ValueError, match="bytes"):
        image_sets.load(tmp_path / "b.npz")


def test_some_images_are_spread_over_a_sorted_file() -> None:
    """The part taken for a try has every class, even where the file is sorted by label."""
    x, y = images(50), np.repeat(np.arange(10), 5)
    found = ImageSet(x, y, x, y).some(20, 10)
    np.testing.assert_array_equal(np.unique(found.y_train), np.arange(10))
    np.testing.assert_array_equal(found.y_test, np.arange(10))


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


def test_a_training_that_is_done_is_only_read(tmp_path: Path) -> None:
    """The file of a finished training is not written again; one of another recipe is refused."""
    data, path = two_classes(), tmp_path / "done.pt"
    training.trained(small(), data, QUICK, path)
    written = path.stat().st_mtime_ns
    training.trained(small(), data, QUICK, path)
    assert path.stat().st_mtime_ns == written
    with pytest.raises(ValueError, match="of another training"):
        training.trained(small(), data, replace(QUICK, seed=1), path)


def test_ends_of_cycles_are_averaged(tmp_path: Path) -> None:
    """The mean of the weights at the ends of both cycles, also when the training was killed."""
    data, recipe = two_classes(), replace(QUICK, averaged=2)
    ends = [
        training.trained(small(), data, QUICK, tmp_path / f"{until}.pt", until=until).state_dict()
        for until in (2, 4)
    ]
    training.trained(small(), data, recipe, tmp_path / "both.pt", until=3)
    found = training.trained(small(), data, recipe, tmp_path / "both.pt").state_dict()
    for name, parameter in small().named_parameters():
        mean = (ends[0][name] + ends[1][name]).numpy() / 2
        np.testing.assert_allclose(found[name].numpy(), mean, rtol=1e-5, atol=1e-7, err_msg=name)
        assert parameter.requires_grad


def test_training_learns(tmp_path: Path) -> None:
    """Bright and dark images are told apart after a few epochs, well above chance."""
    data = two_classes(128)
    recipe = replace(QUICK, cycles=((6, 0.1),))
    module = training.trained(small(), data, recipe, tmp_path / "learned.pt")
    x = Normalised.by(data.x_train)(data.x_test)
    assert training.accuracy(module, x, data.y_test) > 0.75


@given(st.integers(0, 1000), st.integers(0, 3), st.booleans())
def test_variations_are_shifted_and_mirrored_copies(seed: int, shift: int, mirror: bool) -> None:
    """Every image is the original moved by at most `shift`, zeros behind it, perhaps mirrored."""
    x = images(3, 8, 2, seed) | np.uint8(1)
    found = training.varied(x, shift, mirror, np.random.default_rng(seed))
    padded = np.pad(x, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    span = range(2 * shift + 1)
    for before, after in zip(padded, found, strict=True):
        windows = [before[i : i + 8, j : j + 8] for i in span for j in span]
        windows += [w[:, ::-1] for w in windows] if mirror else []
        assert any(np.array_equal(after, w) for w in windows)


def test_a_square_of_each_image_is_blanked() -> None:
    """At most `side` x `side` pixels of every image become 0 in all channels, others stay."""
    images = torch.ones(50, 3, 16, 12)
    training.blank(images, 4, np.random.default_rng(0))
    gone = images == 0
    counts = gone[:, 0].sum(dim=(1, 2))

    assert bool((gone == gone[:, :1]).all())
    assert int(counts.min()) >= 4
    assert int(counts.max()) == 16
    assert len({tuple(np.argwhere(g)[:, 0].tolist()) for g in gone[:, 0].numpy()}) > 10


def test_normalised_images_have_mean_zero_and_deviation_one() -> None:
    """Each channel by itself, of the images that it was made from."""
    x = images(40, 8, 3) // np.array([1, 2, 3], np.uint8)
    found = Normalised.by(x)(x)
    assert found.shape == (40, 3, 8, 8)
    np.testing.assert_allclose(found.mean(dim=(0, 2, 3)), 0.0, atol=0.02)
    np.testing.assert_allclose(found.std(dim=(0, 2, 3)), 1.0, atol=0.02)


# -- networks --


def test_resnet_20_is_that_of_the_paper() -> None:
    """Twenty layers with weights, 0.27 million parameters, no weights in shortcuts."""
    module = sources.resnet()
    weighted = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 20
    assert sum(p.numel() for p in module.parameters()) == 269_722


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "shape", "kinds"),
    [
        (family_networks.mobilenet_v3, (3, 16, 16), {"Multiply", "hard_swish", "hard_sigmoid"}),
        (lambda: VisionTransformer(8, 2, 1, 14), (1, 28, 28), {"MatMul", "softmax", "gelu"}),
        (lambda: Rows(5, 4), (1, 6, 5), {"Multiply", "sigmoid", "tanh"}),
    ],
    ids=["mobilenet_v3", "vit", "gru"],
)
def test_families_have_what_plain_networks_lack(make, shape: tuple[int, ...], kinds: set) -> None:
    """Gates, attention and curves are in the graph, and all is converted and verified."""
    torch.manual_seed(0)
    module, x = make(), torch.randn(8, *shape)
    with torch.no_grad():
        module.train()(x)
    conversion = sw.convert(module.eval(), example_input=x[:1].numpy(), spiking=True)
    layers = [node.layer for node in conversion.canonical]
    names = {getattr(layer, "function", type(layer).__name__) for layer in layers}

    conversion.verify(x.numpy())
    assert kinds <= names


@pytest.mark.slow
def test_rows_are_read_with_and_without_an_axis_of_channels() -> None:
    """One set of weights serves images, and sequences of their rows."""
    module, x = Rows(5, 4).eval(), torch.randn(3, 1, 6, 5)
    with torch.no_grad():
        np.testing.assert_array_equal(module(x).numpy(), module(x[:, 0]).numpy())
    sw.convert(module, example_input=x[:1, 0].numpy(), sequence_step=4, spiking=True)


def test_a_recipe_names_its_optimiser() -> None:
    """The origin of kept weights tells AdamW from gradient descent; both take the first rate."""
    groups = [{"params": [nn.Parameter(torch.zeros(2))]}]
    for kind, made in ((Recipe, torch.optim.SGD), (AdamRecipe, torch.optim.AdamW)):
        recipe = kind(((1, 0.01),))
        optimiser = recipe.optimiser([dict(group) for group in groups])
        assert type(optimiser) is made
        assert optimiser.param_groups[0]["lr"] == 0.01
    assert str(Recipe(((1, 0.01),))) != str(AdamRecipe(((1, 0.01),)))


def test_sources_come_with_the_images_that_they_take(tmp_path: Path) -> None:
    """A source's outputs on its test images give its accuracy; a second request only reads."""
    x = images(40, 28, 1)
    data = ImageSet(x, np.arange(40) % 10, x, np.arange(40) % 10)
    recipe = replace(sources.FASHION, cycles=((1, 0.1),), batch=20)
    found = sources.of_pytorch("fashion_mnist", data, tmp_path, recipe)
    again = sources.of_pytorch("fashion_mnist", data, tmp_path, recipe)
    assert found.x_test.shape == (40, 1, 28, 28)
    np.testing.assert_array_equal(found.outputs(found.x_test), again.outputs(again.x_test))
    assert found.accuracy() == float((found.outputs(found.x_test).argmax(1) == found.y_test).mean())


def test_the_published_network_is_trained_once(tmp_path: Path) -> None:
    """It takes pixels from 0 to 1, and is read from the cache the second time."""
    x = images(40, 28, 1)
    data = ImageSet(x, np.arange(40) % 10, x, np.arange(40) % 10)
    found = sources.mnist(data, tmp_path, epochs=1)
    again = sources.mnist(data, tmp_path, epochs=1)
    assert found.x_test.max() <= 1.0
    np.testing.assert_array_equal(found.outputs(found.x_test), again.outputs(again.x_test))


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


def test_weights_that_are_too_large_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository stays small."""
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    origin = kept.Origin("large", "recipe", "data")
    with pytest.raises(ValueError, match=r"4,000,000 bytes"):
        kept.save({"w": np.zeros(1_000_000, np.float32)}, origin, 0.9)
    assert list(tmp_path.iterdir()) == []


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


def test_the_command_names_a_source_that_is_not_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on labels that mean nothing, it misses its accuracy: the command fails."""
    x, y = images(32, 28, 1), np.arange(32) % 10
    np.savez(tmp_path / "images.npz", x_train=x, y_train=y, x_test=x[::-1], y_test=y)
    monkeypatch.setitem(
        sources.NETWORKS, "fashion_mnist",
        (sources.fashion_network, replace(sources.FASHION, cycles=((1, 0.1),))),
    )  # fmt: skip
    given_words = ["--fashion-mnist", str(tmp_path / "images.npz"), "--cache", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["sources", *given_words])
    with pytest.raises(SystemExit, match="fashion_mnist"):
        sources.main()
    assert "test accuracy" in capsys.readouterr().out
