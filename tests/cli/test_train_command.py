"""`spikewright train`: the library's training from files to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from report.report_pages import parse
from spikewright import demo
from spikewright.cli import main
from spikewright.frontends.live import live

MODEL = str(demo.MODEL)
STEPS, BUDGET = 2, 60.0
GIVEN = ["--steps", str(STEPS), "--epochs", "2", "--neurons", "relu=BipolarIntegrateAndFire"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Digits with labels."""
    x, y = demo.held_out(120)
    path = tmp_path / "digits.npz"
    np.savez(path, x=x, y=y)
    return str(path)


def run(tmp_path: Path, data: str, *arguments: str, model: str = MODEL) -> Result:
    """The command."""
    given = ["train", model, "--data", data, "-o", str(tmp_path / "out.sw"), *GIVEN, *arguments]
    return CliRunner().invoke(main, given)


def sent(conversion: sw.Conversion, x: Any) -> float:
    """Spikes a sample."""
    counts = conversion.run(x, steps=STEPS, progress=False).spike_counts()
    return float(sum(n.mean() for n in counts.values()))


def test_files_in_and_files_out(tmp_path: Path, data: str) -> None:
    """The saved network keeps the budget, and the written model sends the same when converted."""
    back = tmp_path / "trained.onnx"
    held = ["--validation", data, "--spikes", str(BUDGET), "--learning-rate", "0.005"]
    found = run(tmp_path, data, *held, "--write-back", str(back))

    assert found.exit_code == 0, found.output
    assert "digits.onnx, 2 steps of 1 ms" in found.stdout
    assert "Learning rate: 0.005." in found.stdout
    assert f"Saved as {tmp_path / 'out.sw'}" in found.stdout
    assert f"Weights written to {back}" in found.stdout
    x, _ = demo.held_out(120)
    made = sw.load(tmp_path / "out.sw")
    assert 0.9 * BUDGET <= sent(made, x) <= BUDGET
    again = sw.convert(back, **made.resolved)
    runs = [c.run(x[:20], steps=STEPS, progress=False).predict() for c in (made, again)]
    np.testing.assert_array_equal(*runs)
    before, after = (live(Path(p)).SerializeToString() for p in (MODEL, back))
    assert (before != after) == ("Kept: epoch" in found.stdout)


def test_json_has_every_epoch(tmp_path: Path, data: str) -> None:
    """One document and nothing else: the history, the epoch kept, the files."""
    found = run(tmp_path, data, "--labels", "--json")
    told = json.loads(found.stdout)
    assert [epoch["number"] for epoch in told["history"]] == [1, 2]
    assert 0 < told["history"][1]["held_back"]["accuracy"] <= 1
    assert told["saved"] == str(tmp_path / "out.sw")
    assert told["kept"] in (0, 1, 2)
    assert told["learning_rate"] == 5e-4
    assert told["written_back"] is None


def test_frozen_layers(tmp_path: Path) -> None:
    """Those that a file says are frozen stay, others by name, and with "" none."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(8, activation="relu", name="first", trainable=False),
        keras.layers.Dense(3, name="last"),
    ])  # fmt: skip
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    back = tmp_path / "back.keras"
    given = ["--epochs", "1", "--learning-rate", "0.01", "--write-back", str(back), "--force"]
    for arguments, names in (
        ([], ["first"]),
        (["--frozen", "last"], ["last"]),
        (["--frozen", ""], []),
    ):
        found = run(tmp_path, str(tmp_path / "x.npz"), *given, *arguments,
                    model=str(tmp_path / "model.keras"))  # fmt: skip
        assert found.exit_code == 0, found.output
        assert [f"Frozen: {name} (weight, bias)." in found.stdout for name in names] == [
            True
        ] * len(names)
        assert ("Frozen" in found.stdout) == bool(names)
        assert "Kept: epoch 1." in found.stdout
        made = keras.saving.load_model(back)
        same = [
            np.array_equal(a, b)
            for a, b in zip(model.get_weights(), made.get_weights(), strict=True)
        ]
        assert same == [name in names for name in ("first", "first", "last", "last")]
    told = json.loads(run(tmp_path, str(tmp_path / "x.npz"), "--json",
                          model=str(tmp_path / "model.keras")).stdout)  # fmt: skip
    assert told["frozen"] == {"first": ["weight", "bias"]}


def test_an_unknown_frozen_layer_is_a_sentence(tmp_path: Path, data: str) -> None:
    """With the layers that there are."""
    found = run(tmp_path, data, "--frozen", "nothing")
    assert found.exit_code == 2
    assert "frozen: the model has no layer 'nothing'." in " ".join(found.output.split())


def test_digits_are_trained_for_their_own_steps(tmp_path: Path, data: str) -> None:
    """`--steps` may be left out, and the page shows the digits; without a code it is asked for."""
    page, code = tmp_path / "page.html", ["--coding", "digits:2"]
    given = ["train", str(MODEL), "--data", data, "--epochs", "1", "-o", str(tmp_path / "out.sw")]
    found = CliRunner().invoke(main, [*given, *code, "--report", str(page)])
    assert found.exit_code == 0, found.output
    assert "2 steps" in found.stdout
    assert "signed digits of 2 steps" in page.read_text(encoding="utf-8")
    assert isinstance(sw.load(tmp_path / "out.sw").coding, sw.SignedDigits)
    found = CliRunner().invoke(main, given)
    assert found.exit_code == 2 and "steps must be a whole number from 1" in found.output


def test_a_saved_network_is_trained_and_goes_on(tmp_path: Path, data: str) -> None:
    """From its graph; with a checkpoint the second command finds all done, and ends alike."""
    first = tmp_path / "first.sw"
    sw.convert(MODEL, spiking={"relu": sw.BipolarIntegrateAndFire()}).save(first)
    outs = []
    for _ in range(2):
        given = ["train", str(first), "--data", data, "--steps", "2", "--epochs", "2"]
        more = ["--checkpoint", str(tmp_path / "state"), "-o", str(tmp_path / "out.sw")]
        found = CliRunner().invoke(main, [*given, *more])
        assert found.exit_code == 0, found.output
        outs.append((tmp_path / "out.sw").read_bytes())
    assert outs[0] == outs[1]


def test_thresholds_of_a_saved_network_may_be_kept(tmp_path: Path, data: str) -> None:
    """A training of biases alone leaves the thresholds of the saved network as they are."""
    first, out = tmp_path / "first.sw", tmp_path / "out.sw"
    before = sw.convert(MODEL, spiking=True, scale_firing_rates=700.0)
    before.save(first)
    given = ["train", str(first), "--data", data, "--steps", "2", "--epochs", "1", "-o", str(out)]
    found = CliRunner().invoke(main, [*given, "--trainable", "biases", "--thresholds", "kept"])

    assert found.exit_code == 0, found.output
    for ensemble in sw.load(out).populations().values():
        np.testing.assert_allclose(ensemble.rate_scale, 700.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--write-back", "trained.keras"], "is written to a file that ends in .onnx"),
        (["--write-back", "no/trained.onnx"], "its folder does not exist"),
        (["--spikes", "0.01"], "--spikes 0.01: "),
        (["--learning-rate", "best"], "'best' is not a number"),
        (["--learning-rate", "0"], 'must be a number above 0, or "chosen", got 0.0'),
        (["--thresholds", "kept"], "digits.onnx is a model, which has none"),
        (["--reconstruct", "--labels"], "--labels: --reconstruct has no use for it. Leave it out"),
    ],
)
def test_mistakes(tmp_path: Path, data: str, arguments: list[str], message: str) -> None:
    """A sentence, the exit code 2, and no file."""
    found = run(tmp_path, data, *arguments)
    assert found.exit_code == 2
    assert message in " ".join(found.stderr.split())
    assert not (tmp_path / "out.sw").exists()


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    """Said before anything is trained; so is a model that no weights are written back to."""
    x, _ = demo.held_out(20)
    np.savez(tmp_path / "x.npz", x=x)
    found = run(tmp_path, str(tmp_path / "x.npz"), "--labels")
    assert found.exit_code == 2
    assert "--labels" in found.stderr
    other = run(tmp_path, str(tmp_path / "x.npz"), "--write-back", "a.keras", model="model.pt2")
    assert "Load the model in Python" in " ".join(other.stderr.split())


def test_a_training_is_reported(tmp_path: Path, data: str) -> None:
    """Every epoch's loss, accuracy and spikes, and each layer's change; and the trained network."""
    path = tmp_path / "page.html"
    found = run(tmp_path, data, "--labels", "--learning-rate", "0.005", "--report", str(path))

    assert found.exit_code == 0, found.output
    page = parse(path.read_text(encoding="utf-8"))
    sections = [s.attributes["aria-labelledby"] for s in page.all("section")]
    assert sections[:2] == ["training", "accuracy"] and sections[-1] == "reproduce"
    training = page.all("section", **{"aria-labelledby": "training"})[0]
    titles = [title.text for title in training.all("h3")]
    assert titles == ["Loss by epoch", "Accuracy by epoch", "Spikes per sample by epoch"]
    table = training.all("table")[-1].text
    assert all(layer in table for layer in ("conv1", "relu1", "dense"))
    commands = [code.text for code in page.all("code")]
    assert commands[0].startswith("spikewright train ") and "sw.load(" in commands[1]


def test_a_reconstruction_leaves_weights(tmp_path: Path, data: str) -> None:
    """`--reconstruct` is `Conversion.reconstruct`, with the defaults of that."""
    x, _ = demo.held_out(120)
    network = sw.convert(MODEL, spiking={"relu": sw.BipolarIntegrateAndFire()})
    wanted = network.reconstruct(x, steps=STEPS, epochs=2, seed=3)
    found = run(tmp_path, data, "--reconstruct", "--seed", "3")

    assert found.exit_code == 0, found.output
    assert f"Saved as {tmp_path / 'out.sw'}" in found.stdout and "relu1: " in found.stdout
    runs = [
        c.run(x, STEPS, progress=False).predict() for c in (sw.load(tmp_path / "out.sw"), wanted)
    ]
    np.testing.assert_array_equal(*runs)
    told = json.loads(run(tmp_path, data, "--reconstruct", "--json").stdout)
    assert set(told) == {"layers", "saved"}
