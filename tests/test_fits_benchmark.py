"""The benchmark of fits: rows are run from what is kept of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks import answers, fits, kept, sources
from benchmarks.fits import Plan
from safetensors import safe_open

from small_images import small_images

PLANS = {
    "any": Plan("fashion_mnist", 1, 0.02, None),
    "one": Plan("fashion_mnist", 2, 0.02),
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of small sets of bright and dark images; all that is kept is kept elsewhere."""
    path = small_images(tmp_path, monkeypatch, 200, 100)
    monkeypatch.setattr(fits, "PLANS", PLANS)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_what_is_kept_makes_the_same_network_again(name: str, images: Path, tmp_path: Path) -> None:
    """Answers are those of the fitted network; biases are kept, and what neurons were given."""
    found = sources.source("fashion_mnist", images, tmp_path)
    with pytest.raises(LookupError, match=f"row {name} is not fitted yet"):
        fits.made(name, found)
    path = fits.train(name, found)
    with safe_open(path, "numpy") as file:
        accuracy, names = float(file.metadata()["accuracy"]), set(file.keys())
    of_neurons = {key for key in names if key.partition(" of ")[0] in fits.OF_NEURONS}
    assert of_neurons and all(key.endswith("bias") for key in names - of_neurons)
    told = fits.measured(name, sources.source("fashion_mnist", images, tmp_path), 100)
    assert told.source - told.drop == pytest.approx(accuracy, abs=1e-4)
    assert told.spikes > 0


def test_a_file_of_another_plan_is_not_taken(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the plan is part of what is kept."""
    found = sources.source("fashion_mnist", images, tmp_path)
    kept.save({"0.bias": np.zeros(2, np.float32)}, fits.origin("one", found), 0.5)
    assert kept.load(fits.origin("one", found)) is not None
    monkeypatch.setitem(PLANS, "one", Plan("fashion_mnist", 2, 0.03))
    assert kept.load(fits.origin("one", found)) is None


def test_test_images_are_drawn_at_random_and_in_order(images: Path, tmp_path: Path) -> None:
    """The same for every row; all of them where fewer are there."""
    found = sources.source("fashion_mnist", images, tmp_path)
    some = answers.drawn(found, 30)
    assert len(set(some)) == 30 and list(some) == sorted(some)
    np.testing.assert_array_equal(some, answers.drawn(found, 30))
    assert len(answers.drawn(found, 1000)) == 100
