"""Commands: what they print, that JSON is all that they print, and that they are the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import spikewright as sw
from cli.runs import invoke
from spikewright import demo
from spikewright.cli import main
from spikewright.errors import VerificationError
from spikewright.measure import accuracy
from spikewright.showing.inspection import inspect

MODEL = str(demo.MODEL)
COMMANDS = {
    "demo", "explore", "inspect", "convert", "fits", "run", "evaluate", "sweep", "diagnose", "tune",
    "train", "doctor",
}  # fmt: skip


def document(*arguments: str) -> Any:
    """What a command prints with --json: one document and nothing else."""
    return json.loads(invoke(*arguments, "--json").stdout)


def test_version() -> None:
    """The version is that of the package."""
    assert invoke("--version").stdout == f"spikewright {sw.__version__}\n"


def test_help_lists_every_command() -> None:
    """Each command with a line."""
    text = invoke("--help").stdout

    assert set(main.commands) == COMMANDS
    assert all(f"\n  {name} " in text for name in main.commands)


def test_two_neurons_print_the_rows_of_the_worked_example() -> None:
    """The table of the example, then what changed and what did not."""
    scales = ("--scale", "1", "--scale", "5", "--scale", "10")
    lines = invoke("demo", "--two-neurons", *scales).stdout.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = {row[0]: row[1:] for row in cells if len(row) > 1}

    assert list(rows)[:7] == [
        "step", "rate A / B", "s = 1: A", "s = 1: B", "s = 5: A", "s = 5: B", "s = 10: A / B",
    ]  # fmt: skip
    assert rows["step"] == [str(step) for step in range(1, 13)]
    assert rows["rate A / B"] == rows["s = 10: A / B"] == ["1/2"] * 12
    assert rows["s = 1: A"] == ["0"] * 9 + ["10", "0", "0"]
    assert rows["s = 1: B"] == ["0"] * 9 + ["20", "0", "0"]
    assert rows["s = 5: A"] == ["0", "2"] * 6
    assert rows["s = 5: B"] == ["0", "4"] * 6
    assert rows["gain"] == ["1", "1", "5", "10"]
    assert rows["amplitude"] == ["1", "1", "0.2", "0.1"]
    assert rows["max rate (Hz)"] == ["1", "1", "5", "10"]
    assert any("the weights are 1 and 2 at every scale" in line for line in lines)


def test_two_neurons_have_a_scale_of_one_by_default() -> None:
    """Without arguments: the rate network, and where the example begins."""
    scales = [example["scale"] for example in document("demo", "--two-neurons")["examples"]]

    assert scales == [None, 1.0]


def test_two_neurons_as_json() -> None:
    """The same numbers, whole."""
    rate, five = document("demo", "--two-neurons", "--scale", "5")["examples"]

    assert rate["b"] == [2.0] * 12
    assert five["a"] == pytest.approx([0, 2] * 6)
    assert (five["gain"], five["weights"]) == (5.0, [1.0, 2.0])


def test_demo_prints_a_table_and_writes_pictures(tmp_path: Path) -> None:
    """A row for each of the five scales and one by rule, the conclusion, where the files are."""
    out = tmp_path / "pictures"
    text = invoke("demo", "--limit", "12", "--steps", "16", "--out", str(out)).stdout
    rows = [line.split() for line in text.splitlines() if line.count("%") == 3]

    assert "digits.onnx on 12 held-out digits, steps of 1 ms" in text
    assert [row[:2] for row in rows] == [
        ["1", "16"], ["2", "16"], ["5", "16"], ["10", "16"], ["50", "16"], ["by", "rule"],
    ]  # fmt: skip
    shown = f"Pictures: {out}/accuracy_and_spikes.png, {out}/raster.png"
    assert shown in " ".join(text.split())  # lines are as long as the terminal is wide
    assert {path.name for path in out.iterdir()} == {
        "accuracy_and_spikes.png", "accuracy_and_spikes.csv", "raster.png", "raster.csv",
        "report.html",
    }  # fmt: skip


def test_demo_as_json(tmp_path: Path) -> None:
    """The records themselves."""
    found = document("demo", "--limit", "4", "--steps", "8", "--out", str(tmp_path))

    scales = {str(r["how"]["scale"]) for r in found["records"] if "scale" in r["how"]}
    assert scales >= {"1.0", "2.0", "5.0", "10.0", "50.0"} and len(scales) == 6
    assert found["records"][0]["name"] == "source accuracy"
    assert set(found) == {"records", "agreement", "conclusion", "call", "files"}
    assert len(found["files"]) == 5


def test_inspect_lists_every_layer() -> None:
    """Names, kinds, shapes and parameters of the source, and what becomes of them."""
    rows = document("inspect", MODEL)["layers"]
    names = ["image", "conv1", "relu1", "conv2", "relu2", "flatten", "dense"]
    text = invoke("inspect", MODEL).stdout

    assert [row["name"] for row in rows] == names
    assert [row["shape"] for row in rows[:2]] == [[1, 8, 8], [8, 8, 8]]
    assert [row["parameters"] for row in rows] == [0, 80, 0, 1168, 0, 0, 2570]
    assert rows[1]["becomes"] == "part of relu1"
    assert rows[2]["becomes"] == "512 IntegrateAndFire neurons"
    assert all(name in text for name in names)
    assert [row["operations"] for row in rows] == [0, 4608, 0, 18432, 0, 0, 2560]
    told = " ".join(text.split())
    assert "3,818 parameters, 25,600 multiply-accumulates a sample; 18.0 % of them" in told
    assert "2 places send spikes: relu1, relu2." in told
    assert "the network is convergent" in told[-100:]


def test_inspect_is_the_library_call() -> None:
    """The command prints what `inspection.inspect` returns."""
    found = inspect(demo.MODEL)

    assert [row["name"] for row in document("inspect", MODEL)["layers"]] == [
        layer.name for layer in found.layers
    ]
    assert found.convertible


def test_convert_prints_the_trace() -> None:
    """The same trace as the library's."""
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=3.0)
    text = invoke("convert", MODEL, "--spiking", "--scale", "3").stdout

    assert text.startswith(str(conversion.trace))
    assert "768 neurons; the network is convergent" in text


def test_convert_verifies_and_says_how_near_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line of what the library found, all of it as JSON; and nothing is saved if it differs."""
    found = sw.convert(MODEL).verify()
    assert f"Verified: {found!r}." in invoke("convert", MODEL, "--verify").stdout
    plain = document("convert", MODEL, "--verify")["verification"]
    assert len(plain["differences"]) == len(found.differences)
    assert document("convert", MODEL)["verification"] is None

    def wrong(*_: Any) -> Any:
        raise VerificationError("layer 'fc' (Gemm) is the first that differs")

    monkeypatch.setattr("spikewright.conversion.conversion.verify", wrong)
    saved = tmp_path / "network"
    result = CliRunner().invoke(main, ["convert", MODEL, "--verify", "-o", str(saved)])
    assert result.exit_code == 2 and "first that differs" in result.output
    assert not saved.exists()


def test_convert_takes_a_value_for_each_layer() -> None:
    """`NAME=VALUE`, repeated, is the library's dict; `none` is no synapse."""
    arguments = ["--spiking"]
    for given in ("relu1=3", "relu2=4"):
        arguments += ["--scale", given]
    for given in ("relu1=0.005", "relu2=none"):
        arguments += ["--synapse", given]
    for given in ("relu1=zero", "relu2=0.25"):
        arguments += ["--initial-voltage", given]
    trace = document("convert", MODEL, *arguments)["trace"]
    texts = {entry["layer"]: entry["text"] for entry in trace if entry["stage"] == "lower"}

    assert "gain x 3" in texts["relu1"]
    assert "gain x 4" in texts["relu2"]


def test_a_cap_on_spikes_is_an_approximation() -> None:
    """One-spike hardware clips, and the trace says so."""
    found = document("convert", MODEL, "--spiking", "--max-spikes-per-step", "1")
    trace = found["trace"]

    assert found["guarantee"] == "approximated"
    lowered = [e for e in trace if e["stage"] == "lower"]
    assert {e["status"] for e in lowered if "neurons" in e["text"]} == {"approximated"}
    assert {e["status"] for e in lowered if "linear" in e["text"]} == {"exact"}


def test_run_measures_what_the_library_measures(data: str) -> None:
    """Accuracy under both readouts, rates and spikes are those of `Conversion.run`."""
    x, y = demo.held_out(40)
    run = sw.convert(MODEL, spiking=True, scale_firing_rates=5.0).run(x, 32, progress=False)
    found = document(
        "run", MODEL, "--data", data, "--steps", "32", "--spiking", "--scale", "5"
    )  # fmt: skip
    values = {
        (r["name"], r["how"].get("layer", r["how"].get("readout"))): r["value"]
        for r in found["records"]
    }

    assert values["accuracy", "mean"] == accuracy(run, y, "mean").value
    assert values["accuracy", "last"] == accuracy(run, y, "last").value
    assert values["firing rate", "relu1"] == pytest.approx(run.firing_rates()["relu1"])
    assert values["silent neurons", "relu2"] == run.silent_fractions()["relu2"]
    assert found["run"]["steps"] == 32
    assert found["run"]["engine"] == run.record["engine"]


def test_run_prints_tables(data: str) -> None:
    """Accuracy with its interval, a row a layer, the spikes of a sample."""
    result = invoke(
        "run", MODEL, "--data", data, "--steps", "64", "--spiking", "--scale", "10",
        "--engine", "reference",
    )  # fmt: skip

    assert "64 steps of 1 ms, reference engine" in result.stdout
    assert "relu1" in result.stdout
    assert "spikes per sample over 40 samples" in result.stdout
    assert result.stdout.count("95 %") == 1


def test_run_without_labels_or_spikes(tmp_path: Path) -> None:
    """Rates of a rate network; no accuracy where there are no labels."""
    np.savez(tmp_path / "x.npz", x=demo.held_out(3)[0])
    found = document("run", MODEL, "--data", str(tmp_path / "x.npz"), "--steps", "2", "--rate")

    assert {record["name"] for record in found["records"]} == {"firing rate"}


def test_run_takes_the_first_samples(data: str) -> None:
    """`--limit` shortens inputs and labels alike."""
    scale = ("--scale", "1")
    found = document("run", MODEL, "--data", data, "--steps", "2", "--limit", "5", *scale)

    assert found["run"]["batch"] == 5
    assert {r["n"] for r in found["records"] if r["name"] == "accuracy"} == {5}


def test_run_takes_inputs_over_time(tmp_path: Path) -> None:
    """An `x` with a time axis says how many steps there are."""
    x = np.repeat(demo.held_out(2)[0][:, None], 7, axis=1)
    np.savez(tmp_path / "x.npz", image=x)  # an input by its name will do as well

    assert document("run", MODEL, "--data", str(tmp_path / "x.npz"))["run"]["steps"] == 7


def test_run_takes_an_encoder(data: str) -> None:
    """`--encoder` is the library's encoder of that name."""
    x, _ = demo.held_out(40)
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=5.0)
    expected = conversion.run(x, 32, seed=3, encoder=sw.encoders.Poisson(500.0), progress=False)
    found = document(
        "run", MODEL, "--data", data, "--steps", "32", "--spiking", "--scale", "5",
        "--encoder", "poisson:500", "--seed", "3",
    )  # fmt: skip
    rates = {r["how"]["layer"]: r["value"] for r in found["records"] if r["name"] == "firing rate"}

    assert found["run"]["encoder"] == "Poisson(rate=500.0)"
    assert rates == pytest.approx(expected.firing_rates())


def test_few_spikes_are_warned_of(data: str) -> None:
    """The warning goes to standard error, and into the JSON document."""
    arguments = ("run", MODEL, "--data", data, "--steps", "8", "--scale", "1")
    result = invoke(*arguments)

    assert result.stderr.count("warning: neurons hardly spike in 8 steps of 0.001 s") == 1
    assert "relu1 0, relu2 0" in result.stderr
    assert "warning" not in result.stdout
    assert any(text.startswith("relu1: ") for text in document(*arguments)["warnings"])


@pytest.mark.parametrize("command", ["run", "evaluate", "diagnose"])
def test_commands_that_run_spike_and_say_so(command: str, data: str) -> None:
    """The first line and the JSON document name the network that ran; `--rate` is the other one."""
    asked = (command, MODEL, "--data", data, "--steps", "8")

    assert invoke(*asked).stdout.startswith("Spiking network of digits.onnx, 768 neurons\n")
    assert document(*asked) == document(*asked, "--spiking")
    assert document(*asked)["network"] == "spiking"
    if command != "diagnose":  # a rate network loses nothing, which is refused there
        assert invoke(*asked, "--rate").stdout.startswith("Rate network of digits.onnx,")
        assert document(*asked, "--rate")["network"] == "rate"


@pytest.mark.parametrize(
    "option", ["--scale=5", "--initial-voltage=zero", "--max-spikes-per-step=1"]
)
def test_options_about_spikes_mean_spikes(data: str, option: str) -> None:
    """A rate network has nothing to scale, start or cap: such options bring spiking neurons."""
    assert document("convert", MODEL, option) == document("convert", MODEL, "--spiking", option)
    refused = CliRunner().invoke(main, ("convert", MODEL, "--rate", option))
    assert refused.exit_code == 2
    assert option.partition("=")[0] in refused.stderr
    assert "--rate neurons send no spikes" in refused.stderr


def test_a_conversion_stays_the_rate_network_without_a_word_about_spikes() -> None:
    """As in Python; a synapse filters rates too, and asks for no spikes."""
    asked = ("convert", MODEL, "--synapse", "0.01")

    assert document(*asked) == document(*asked, "--rate")
    assert document(*asked) != document(*asked, "--spiking")


def test_a_saved_network_runs_as_the_model_did(data: str, tmp_path: Path) -> None:
    """`convert -o` writes what `run` takes in the model's place, with the same results."""
    saved = str(tmp_path / "digits.spikewright")
    options = ("--spiking", "--scale", "5")
    converted = document("convert", MODEL, *options, "-o", saved)
    asked = ("--data", data, "--steps", "32")

    assert converted["saved"] == saved
    assert f"Saved as {saved}" in invoke("convert", MODEL, *options, "-o", saved).stdout
    assert document("run", saved, *asked) == document("run", MODEL, *asked, *options)


@pytest.mark.parametrize(
    "options",
    [
        ("--scale", "20"),
        ("--scale", "relu1=20", "--scale", "relu2=30", "--synapse", "0.005"),
        ("--scale", "minimum-error:8", "--initial-voltage", "zero", "--max-spikes-per-step", "1"),
        ("--rate", "--max-pool", "average"),
        ("--scale", "20", "--bias-correction", "8"),
        ("--scale", "20", "--bias-correction", "step-correction:8"),
    ],
)
def test_a_saved_network_takes_the_options_that_its_model_takes(
    options: tuple[str, ...], data: str, tmp_path: Path
) -> None:
    """With the same results, in one command or in two."""
    saved, again = str(tmp_path / "first"), str(tmp_path / "second")
    if {"minimum-error:8", "--bias-correction"} & {*options}:
        options = (*options, "--calibration", data)
    asked = ("--data", data, "--steps", "32")
    invoke("convert", MODEL, "--spiking", "-o", saved)
    wanted = document("run", MODEL, *options, *asked)

    assert document("run", saved, *options, *asked) == wanted
    invoke("convert", saved, *options, "-o", again)
    assert document("run", again, *asked) == wanted


def test_spikes_are_asked_of_a_saved_rate_network(data: str, tmp_path: Path) -> None:
    """Options about spikes mean spikes there too."""
    saved, asked = str(tmp_path / "rate"), ("--data", data, "--steps", "32", "--scale", "20")
    invoke("convert", MODEL, "-o", saved)

    assert document("run", saved, *asked) == document("run", MODEL, *asked)


def test_a_saved_rate_network_runs_as_it_was_saved(data: str, tmp_path: Path) -> None:
    """Spikes by default are for models: of a file it is known which network it is."""
    saved, asked = str(tmp_path / "rate"), ("--data", data, "--steps", "8")
    invoke("convert", MODEL, "-o", saved)

    assert document("run", saved, *asked) == document("run", MODEL, *asked, "--rate")


def test_statistics_of_a_saved_network_are_its_models(data: str, tmp_path: Path) -> None:
    """Those of either are for both."""
    saved, found = str(tmp_path / "network"), str(tmp_path / "found")
    invoke("convert", MODEL, "--spiking", "-o", saved)
    asked = ("--calibration", data, "--statistics", found)

    told = [document("convert", which, *asked)["statistics"] for which in (saved, MODEL)]
    assert told[0] == told[1]


def test_a_name_that_ends_in_nir_makes_a_nir_file(tmp_path: Path) -> None:
    """What `sw.nir.save` writes, with its dialect, reset and start; and no other dialect."""
    path, same = tmp_path / "net.nir", tmp_path / "same.nir"
    choices = ("--spiking", "--scale", "64")
    more = ("--dialect", "sinabs", "--steps", "16", "--dt", "0.002")
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=64.0)
    sw.nir.save(conversion, same, "sinabs", dt=0.002, steps=16)

    assert f"Saved as {path}" in invoke("convert", MODEL, *choices, *more, "-o", str(path)).stdout
    x = demo.held_out(4)[0]
    runs = []
    for file in (path, same):
        network = sw.nir.load(file)
        runs.append(sorted(str(connection) for connection in network.all_connections))
        assert network.dt == 0.002
    assert runs[0] == runs[1] and len(x) == 4
    refused = CliRunner().invoke(main, ["convert", MODEL, "--dialect", "latin", "-o", str(path)])
    assert refused.exit_code == 2 and "must be one of 'portable'" in refused.stderr
