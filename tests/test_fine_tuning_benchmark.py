"""The benchmark of fine-tuning: varied images, rows in a chain, weights that are kept, a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import fine_tuning, kept, sources
from benchmarks.fine_tuning import Plan, Varied
from safetensors import safe_open

import spikewright as sw
from small_images import small_images

FIRST = Plan("fashion_mnist", 2, 0.02, assumed=2, by_step=True)
FITTED = Plan("fashion_mnist", 1, 0.02, cap=None, weights=False)
PLANS = {
    "first": FIRST, "second": replace(FIRST, steps=1, labels=True, after="first"), "fitted": FITTED
}  # fmt: skip


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of small sets of bright and dark images; all that is kept is kept elsewhere."""
    path = small_images(tmp_path, monkeypatch, 200, 100)
    monkeypatch.setattr(fine_tuning, "PLANS", PLANS)
    monkeypatch.setattr(fine_tuning, "TABLE", tmp_path / "rows.csv")
    monkeypatch.setattr(fine_tuning, "PAGE", tmp_path / "page.md")
    return path


def test_every_epoch_varies_the_images_that_are_not_held_back(images: Path, tmp_path: Path) -> None:
    """All of them once, with the outputs of the source; the same for the same seed."""
    found = sources.source("fashion_mnist", images, tmp_path)
    batches = Varied(found, images, FIRST, 0)
    epochs = [list(batches) for _ in range(2)]
    assert [sum(len(x) for x, _ in epoch) for epoch in epochs] == [180, 180]
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
    x, outputs = epochs[0][0]
    np.testing.assert_array_equal(outputs, found.outputs(x))
    again = Varied(found, images, replace(FIRST, labels=True), 0)
    x, labels = next(iter(again))
    np.testing.assert_array_equal(x, epochs[0][0][0])
    assert set(labels) == {0, 1} and len(again.validation[0]) == 20


def test_rows_are_trained_in_a_chain_and_kept(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second begins with the weights of the first, and waits for them; rows are on the page."""
    given = ["x", "--fashion-mnist", str(images), "--cache", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*given, "--rows", "second"])
    fine_tuning.main()
    assert "row first, seed 0, is not trained yet" in capsys.readouterr().out
    assert fine_tuning.rows() == {}

    monkeypatch.setattr("sys.argv", [*given, "--rows", "first", "second"])
    fine_tuning.main()
    rows = fine_tuning.rows()
    assert list(rows) == [("first", 0), ("second", 0)]
    assert all(row.spikes > 0 and row.epochs >= 1 for row in rows.values())
    for name in rows:
        path = kept.FOLDER / f"tuned_{name[0]}_0.safetensors"
        with safe_open(path, "numpy") as file:
            assert float(file.metadata()["accuracy"]) == pytest.approx(rows[name].spiking, abs=1e-4)
    text = fine_tuning.PAGE.read_text(encoding="utf-8")
    assert text.count("| fashion_mnist |") == 2 and "| yes |" in text


def test_where_weights_stay_the_numbers_of_neurons_are_kept(images: Path, tmp_path: Path) -> None:
    """Beside the source's own weights: what is kept makes the same network again."""
    row = fine_tuning.measured("fitted", 0, images, tmp_path)
    found = sources.source("fashion_mnist", images, tmp_path)
    arrays = kept.load(fine_tuning.origin("fitted", FITTED, 0, found))
    assert arrays is not None
    for name, value in found.model.state_dict().items():
        if name in arrays and not name.endswith("bias"):
            np.testing.assert_array_equal(arrays[name], value.numpy(), err_msg=name)

    numbers = {
        argument: {
            name.removeprefix(f"{argument} of "): array
            for name, array in arrays.items()
            if name.startswith(f"{argument} of ")
        }
        for argument in ("scale_firing_rates", "initial_voltage")
    }
    state = {name: torch.from_numpy(array) for name, array in arrays.items() if " of " not in name}
    found.model.load_state_dict(state, strict=False)
    made = sw.convert(found.model, spiking=True, example_input=found.example, **numbers)
    _, spikes = fine_tuning.answered(made, found.x_test, 1)
    assert spikes == pytest.approx(row.spikes, rel=0.01)
