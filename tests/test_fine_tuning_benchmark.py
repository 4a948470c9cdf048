"""The benchmark of fine-tuning: varied images, and rows that are run from what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks import answers, fine_tuning, kept, sources
from benchmarks.fine_tuning import Plan, Varied
from safetensors import safe_open

from small_images import small_images

TRAINED = Plan("fashion_mnist", 2, 0.02, trained=True, epochs=2)
PLANS = {
    "trained": TRAINED,
    "fitted": Plan("fashion_mnist", 1, 0.02, cap=None),
    "heights": Plan("fashion_mnist", 2, 0.02, heights=(2, 1)),
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of small sets of bright and dark images; all that is kept is kept elsewhere."""
    path = small_images(tmp_path, monkeypatch, 200, 100)
    monkeypatch.setattr(fine_tuning, "PLANS", PLANS)
    return path


def test_every_epoch_varies_the_images_that_are_not_held_back(images: Path, tmp_path: Path) -> None:
    """All of them once, with the outputs of the source; the same for the same seed."""
    found = sources.source("fashion_mnist", images, tmp_path)
    batches = Varied(found, images, TRAINED)
    epochs = [list(batches) for _ in range(2)]
    assert [sum(len(x) for x, _ in epoch) for epoch in epochs] == [180, 180]
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
    x, outputs = epochs[0][0]
    np.testing.assert_array_equal(outputs, found.outputs(x))
    again, _ = next(iter(Varied(found, images, TRAINED)))
    np.testing.assert_array_equal(again, x)
    assert len(batches.validation[0]) == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_what_is_kept_makes_the_same_network_again(name: str, images: Path, tmp_path: Path) -> None:
    """Answers and spikes are those of the trained network; weights are kept where they changed."""
    found = sources.source("fashion_mnist", images, tmp_path)
    with pytest.raises(LookupError, match=f"row {name} is not trained yet"):
        fine_tuning.made(name, found, images)
    path = fine_tuning.train(name, found, images)
    with safe_open(path, "numpy") as file:
        accuracy, names = float(file.metadata()["accuracy"]), set(file.keys())
    kinds = {key.partition(" of ")[0] for key in names}
    assert set(fine_tuning.OF_NEURONS) <= kinds
    assert ("0.weight" in names) is PLANS[name].trained
    again = sources.source("fashion_mnist", images, tmp_path)
    told = fine_tuning.measured(name, again, images, 100)
    assert told.source - told.drop == pytest.approx(accuracy, abs=1e-4)
    assert told.spikes > 0


def test_a_file_of_another_plan_is_not_taken(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the plan is part of what is kept."""
    found = sources.source("fashion_mnist", images, tmp_path)
    kept.save({"0.bias": np.zeros(2, np.float32)}, fine_tuning.origin("fitted", found), 0.5)
    assert kept.load(fine_tuning.origin("fitted", found)) is not None
    monkeypatch.setitem(PLANS, "fitted", Plan("fashion_mnist", 1, 0.03, cap=None))
    assert kept.load(fine_tuning.origin("fitted", found)) is None


def test_test_images_are_drawn_at_random_and_in_order(images: Path, tmp_path: Path) -> None:
    """The same for every row; all of them where fewer are there."""
    found = sources.source("fashion_mnist", images, tmp_path)
    some = answers.drawn(found, 30)
    assert len(set(some)) == 30 and list(some) == sorted(some)
    np.testing.assert_array_equal(some, answers.drawn(found, 30))
    assert len(answers.drawn(found, 1000)) == 100
