"""Mistakes of a user: one helpful line on standard error, exit code 2, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import files, main
from spikewright.errors import MissingExtraError

MODEL = str(demo.MODEL)


def refused(*arguments: str) -> str:
    """What a command that must fail says on standard error; standard output stays empty."""
    result: Result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with good and bad files in it."""
    monkeypatch.chdir(tmp_path)
    x, y = demo.held_out(4)
    np.savez("good.npz", x=x, y=y)
    np.savez("narrow.npz", x=x[..., :4], y=y)
    np.savez("nan.npz", x=np.where(x == x.max(), np.nan, x))
    np.savez("labels.npz", y=y)
    np.savez("scalar.npz", x=np.float32(3))
    np.savez("few.npz", x=x, y=y[:2])
    np.savez("objects.npz", x=np.array([{}, {}], object))
    np.savez("empty.npz", x=x[:0], y=y[:0])
    np.savez("words.npz", x=x, y=np.array(list("abcd")))
    np.save("array.npy", x)
    sw.convert(MODEL).save("saved.spikewright")
    Path("cut.spikewright").write_bytes(Path("saved.spikewright").read_bytes()[:9000])
    Path("cut.npz").write_bytes(Path("good.npz").read_bytes()[:1000])
    Path("cut.onnx").write_bytes(demo.MODEL.read_bytes()[:5000])
    Path("text.onnx").write_text("not a model")
    return tmp_path


MESSAGES = [
    (
        ("convert", MODEL, "--reset", "zero", "-o", "net.spikewright"),
        "Error: --reset is of NIR files: name one, -o net.nir. See: spikewright convert --help\n",
    ),
    (
        ("run", MODEL, "--data", "empty.npz", "--steps", "3"),
        "Error: empty.npz: 'x' is empty, of shape (0, 1, 8, 8)\n",
    ),
    (
        ("run", MODEL, "--data", "words.npz", "--steps", "3"),
        "Error: words.npz: 'y' holds <U1, which are no real numbers. Give floats, whole numbers or "
        "truth values\n",
    ),
    (
        ("run", MODEL, "--data", "good.npz", "--steps", "3", "--seed", "-1"),
        "Error: Invalid value for '--seed': must be a whole number from 0, got -1. See: "
        "spikewright run --help\n",
    ),
    (
        ("convert", MODEL, "--scale", "relu1=3", "--scale", "relu1=4"),
        "Error: Invalid value for '--scale': relu1: given more than once. See: spikewright convert "
        "--help\n",
    ),
    (
        ("run", "none.onnx", "--data", "good.npz", "--steps", "3"),
        "Error: none.onnx: no such file\n",
    ),
    (
        ("run", MODEL, "--data", "none.npz", "--steps", "3"),
        "Error: none.npz: no such file\n",
    ),
    (
        ("run", MODEL, "--data", "narrow.npz", "--steps", "3"),
        "Error: input 'image' must be (batch, 1, 8, 8) held constant or (batch, steps, 1, 8, 8), "
        "got shape (4, 1, 8, 4)\n",
    ),
    (
        ("run", MODEL, "--data", "nan.npz", "--steps", "3"),
        "Error: input 'image' holds NaN or infinity\n",
    ),
    (
        ("run", MODEL, "--data", "labels.npz", "--steps", "3"),
        "Error: labels.npz: holds no array x of inputs. "
        "Write one with np.savez('labels.npz', x=x, y=y)\n",
    ),
    (
        ("run", MODEL, "--data", "scalar.npz", "--steps", "3"),
        "Error: scalar.npz: 'x' has no batch axis\n",
    ),
    (
        ("run", MODEL, "--data", "few.npz", "--steps", "3"),
        "Error: few.npz: holds different numbers of samples: 4 of x, 2 of y\n",
    ),
    (
        ("run", MODEL, "--data", "good.npz", "--steps", "3", "--engine", "gpu"),
        "Error: engine must be 'auto' or one of ('reference', 'native', 'torch'), got 'gpu'\n",
    ),
    (
        ("convert", MODEL, "--scale", "relu7=3"),
        "Error: layer 'relu7' (key of --scale): the model has no such activation, and "
        "no layer with neurons of that name. Did you mean 'relu'? It has the activations relu; "
        "layers with neurons are relu1, relu2.\n",
    ),
    (
        ("convert", "good.npz"),
        "Error: good.npz: not a readable Spikewright file (Error while deserializing header: "
        "header too large). Save it again. Files of models end in .keras, .h5, .hdf5, .onnx, "
        ".pt2.\n",
    ),
    (
        ("run", "saved.spikewright", "--data", "good.npz", "--scale", "2", "--rate"),
        "Error: --rate neurons send no spikes, and --scale is about spikes: leave one out. See: "
        "spikewright run --help\n",
    ),
    (
        ("run", "saved.spikewright", "--data", "good.npz", "--example-shape", "1,8,8"),
        "Error: --example-shape: saved.spikewright knows the shapes of its inputs. See: "
        "spikewright run --help\n",
    ),
    (
        ("run", "saved.spikewright", "--data", "good.npz", "--sequence-step", "4"),
        "Error: --sequence-step: the file holds the recurrent layers in the other form. "
        "Convert the model.\n",
    ),
    (
        ("convert", MODEL, "-o", "none/net.spikewright"),
        "Error: none/net.spikewright: its folder does not exist\n",
    ),
    (
        ("demo", "--two-neurons", "--scale", "0"),
        "Error: <Ensemble 'A'>: rate_scale must be above 0, got 0.0\n",
    ),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("arguments", "message"), MESSAGES)
def test_messages(arguments: tuple[str, ...], message: str) -> None:
    """Word for word what a user reads."""
    assert refused(*arguments) == message


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["cut.npz", "objects.npz", "array.npy"])
def test_damaged_data_files_are_named(name: str) -> None:
    """Files cut short, of Python objects, or of another kind: the path and what is wrong."""
    message = refused("run", MODEL, "--data", name, "--steps", "3")

    assert message.startswith(f"Error: {name}: is no .npz file of numbers (")
    assert message.count("\n") == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ["inspect", "convert", "run"])
@pytest.mark.parametrize("name", ["cut.onnx", "text.onnx"])
def test_damaged_models_are_named(command: str, name: str) -> None:
    """The path and what is wrong with it, in every command that reads a model."""
    more = ("--data", "good.npz", "--steps", "3") if command == "run" else ()

    assert refused(command, name, *more).startswith(f"Error: {name}")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["cut.spikewright", "good.npz", "none.spikewright"])
def test_damaged_saved_networks_are_named(name: str) -> None:
    """A file cut short, of another kind, or that is not there."""
    assert refused("run", name, "--data", "good.npz", "--steps", "3").startswith(f"Error: {name}")


def test_nothing_half_written_is_left(folder: Path) -> None:
    """A conversion that is refused writes no file."""
    before = sorted(folder.iterdir())
    refused("convert", MODEL, "--scale", "relu7=3", "-o", "net.spikewright")
    refused("convert", "cut.onnx", "-o", "net.spikewright")

    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explode",), ["explode", "See: spikewright --help"]),
        (("demo", "--sacle", "2"), ["--sacle", "See: spikewright demo --help"]),
        (("run", MODEL), ["--data", "See: spikewright run --help"]),
        (("run", MODEL, "--data", "d.npz", "--precision", "half"), ["half", "float32", "float64"]),
        (("convert", MODEL, "--scale", "1", "--scale", "relu1=2"), ["LAYER=SCALE"]),
        (("convert", MODEL, "--scale", "1", "--scale", "2"), ["LAYER=SCALE"]),
        (("convert", MODEL, "--scale", "=2"), ["LAYER=SCALE"]),
        (("convert", MODEL, "--initial-voltage", "full"), ["half, uniform, voltage-"]),
        (("convert", MODEL, "--example-shape", "1,x"), ["'1,x' is not a shape such as 1,28,28"]),
        (("convert", MODEL, "--example-shape", "1,0"), ["every extent must be above 0"]),
        (("convert", MODEL, "--max-pool", "max"), ["gate", "average"]),
        (("run", MODEL, "--data", "d.npz", "--encoder", "morse"), ["'morse'", "frames, poisson"]),
        (("run", MODEL, "--data", "d.npz", "--encoder", "poisson:-1"), ["'poisson:-1'", "rate"]),
        (("run", MODEL, "--data", "d.npz", "--encoder", "frames:x"), ["'frames:x'"]),
    ],
)
def test_bad_options_say_where_help_is(arguments: tuple[str, ...], words: list[str]) -> None:
    """The option, the value, and one line in all."""
    message = refused(*arguments)

    assert message.startswith("Error: ")
    assert message.count("\n") == 1
    assert [word for word in words if word not in message] == []


def test_unknown_layers_are_all_listed() -> None:
    """Several reasons are one message, a line each."""
    message = refused("convert", MODEL, "--scale", "relu9=3", "--scale", "tanh=2")

    assert message == (
        "Error: 2 layers cannot be converted:\n"
        "  - layer 'relu9' (key of --scale): the model has no such activation, and no "
        "layer with neurons of that name. Did you mean 'relu'? It has the activations relu; "
        "layers with neurons are relu1, relu2.\n"
        "  - layer 'tanh' (key of --scale): the model has no such activation, and no "
        "layer with neurons of that name. It has the activations relu; layers with neurons are "
        "relu1, relu2.\n"
    )


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed: the command that installs it, no traceback."""

    def run(**_: object) -> None:
        raise MissingExtraError("'onnx' is needed here. Install it with: pip install ...")

    monkeypatch.setattr(demo, "run", run)

    assert refused("demo") == "Error: 'onnx' is needed here. Install it with: pip install ...\n"


@pytest.mark.usefixtures("folder")
def test_mistakes_leave_standard_output_alone_with_json() -> None:
    """A program that reads JSON gets none, and the exit code."""
    assert "no such file" in refused("convert", "none.onnx", "--json")


def test_data_files_may_hold_several_inputs(tmp_path: Path) -> None:
    """Arrays other than `y` are inputs by name; the limit holds for each."""
    np.savez(tmp_path / "d.npz", left=np.ones((5, 2)), right=np.ones((5, 3)), y=np.arange(5))
    loaded = files.load_samples(tmp_path / "d.npz", limit=2)

    assert isinstance(loaded.x, dict)
    assert {name: array.shape for name, array in loaded.x.items()} == {
        "left": (2, 2),
        "right": (2, 3),
    }
    assert loaded.y is not None
    assert loaded.y.tolist() == [0, 1]


def _program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The installed program in a process of its own."""
    code = "from spikewright.cli import main; main(prog_name='spikewright')"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_in_a_process_of_its_own(folder: Path) -> None:
    """Exit codes and streams are those that a shell sees."""
    good = _program("demo", "--two-neurons", "--json", cwd=folder)
    bad = _program("run", "none.onnx", "--data", "good.npz", cwd=folder)

    assert good.returncode == 0
    assert good.stderr == ""
    assert json.loads(good.stdout)["steps"] == 12
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr == "Error: none.onnx: no such file\n"


def test_help_loads_no_framework() -> None:
    """`--help` is quick because nothing heavy is imported for it."""
    code = (
        "import sys; from spikewright.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'torch', 'keras', 'onnx', 'matplotlib', 'sklearn'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_what_lies_behind_a_mistake_is_shown_on_request(tmp_path: Path) -> None:
    """`--debug` anywhere adds the traceback and what the framework said; else there is a line."""
    torch = pytest.importorskip("torch")
    path = str(tmp_path / "part.pt2")
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 3),)), path)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content.replace(b"aten.relu.default", b"aten.relu.defaulx"))
    sentence = refused("inspect", path)
    assert sentence.startswith("Error: ") and sentence.count("\n") == 1
    for arguments in (("--debug", "inspect", path), ("inspect", path, "--debug")):
        told = refused(*arguments)
        assert told.endswith(sentence) and "Traceback" in told
