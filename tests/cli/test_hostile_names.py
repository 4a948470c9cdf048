"""Names that would command a terminal, or turn the text around them: printed as what they are."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from cli.runs import RUNS, line
from hostile_uses import hidden
from spikewright import cli, demo
from spikewright.cli import main
from spikewright.errors import ConversionWarning, SpikewrightError, printable, short_name

BAD = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202etxt\u2066\u200f\x00\x7f\u2028"


def renamed(path: Path) -> Path:
    """The shipped digits with names of layers, values and the input that a stranger chose."""
    proto = onnx.load(demo.MODEL)
    graph = proto.graph
    for item in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        item.name = f"{BAD}{item.name}"
    for node in graph.node:
        node.name = f"{BAD}{node.name}"
        for names in (node.input, node.output):
            names[:] = [f"{BAD}{name}" if name else "" for name in names]
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, data, its conversion, and a folder whose name is no better."""
    place = tmp_path_factory.mktemp("names") / "fol\x1b[2J\u202eder"
    place.mkdir()
    model = renamed(place / "model.onnx")
    x, y = demo.held_out(40)
    np.savez(place / "data.npz", x=x, y=y)
    spiking = sw.convert(model, spiking=True, scale_firing_rates=100.0)
    spiking.save(place / "net.sw")
    return place


SLOW = ("demo", "train", "tune")
LAW = [pytest.param(c, marks=[pytest.mark.slow] if c in SLOW else []) for c in RUNS]


def told(folder: Path, command: str, *more: str) -> Result:
    """The result of a command; a page that would be served until Ctrl-C is of no model."""
    none = [str(folder / "none.onnx")] if command == "explore" else []
    return CliRunner().invoke(main, [*line(command, folder), *none, *more])


def test_every_command_has_a_line() -> None:
    """Here, from the day it is registered."""
    assert set(RUNS) == set(main.commands)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", LAW)
def test_no_command_prints_what_a_terminal_obeys(command: str, folder: Path) -> None:
    """On standard output and error alike, in tables, sentences, warnings and errors."""
    found = told(folder, command)
    assert found.exit_code == (2 if command == "explore" else 0), found.output
    assert hidden(found.output) == []
    assert hidden(found.stdout) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", ["inspect", "convert", "run"])
def test_names_are_shown_as_escapes(command: str, folder: Path) -> None:
    """So that nothing of them is lost; JSON escapes them by its own rules and gives them whole."""
    found = told(folder, command)
    assert found.exit_code == 0, found.output
    assert "\\x1b]0;owned\\x07" in found.output.replace("\n", "")
    document = told(folder, command, "--json").stdout
    assert hidden(document) == []
    assert BAD in "".join(_texts(json.loads(document)))


def _texts(value: object) -> list[str]:
    """All texts of a document, joined where they stand."""
    if isinstance(value, dict):
        return [t for k, v in value.items() for t in (str(k), *_texts(v))]
    if isinstance(value, list):
        return [t for item in value for t in _texts(item)]
    return [str(value)]


def _errors(folder: Path) -> Iterator[str]:
    """Errors that name layers, arguments and files of a stranger."""
    spiking = sw.load(folder / "net.sw")
    for use in (
        lambda: sw.convert(folder / "model.onnx", outputs=[BAD]),
        lambda: spiking.replace(scale_firing_rates={BAD: 2.0}),
        lambda: spiking.run({BAD: np.zeros((1, 1, 8, 8))}, 2),
        lambda: sw.load(folder / "model.onnx"),
        lambda: sw.load(folder / BAD.replace("\0", "")),
    ):
        with pytest.raises(SpikewrightError) as caught:
            use()
        yield str(caught.value)


def test_errors_are_printable(folder: Path) -> None:
    """In Python too, where a traceback prints them."""
    for said in _errors(folder):
        assert hidden(said) == []


def test_warnings_and_descriptions_are_printable(folder: Path) -> None:
    """Of conversions, graphs, plans and results."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = sw.convert(folder / "model.onnx", spiking=True, scale_firing_rates=1e-3)
        x, y = demo.held_out(20)
        result = made.run(x, 3, progress=False)
    shown = [str(w.message) for w in caught if issubclass(w.category, ConversionWarning)]
    shown += [str(made.trace), sw.graph.to_text(made.graph), repr(made), repr(made.graph)]
    shown += [repr(result), str(made.memory(2, 3)), str(made.fits("loihi2")), str(made.verify())]
    shown += [str(made.diagnose(x, y, steps=3)), repr(made.layers), str(ConversionWarning(BAD))]
    for text in shown:
        assert hidden(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain words", "plain words"),
        ("Schicht-Größe λ 层 👩‍🔬", "Schicht-Größe λ 层 👩‍🔬"),
        ("two\nlines\tof", "two\nlines\tof"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202eabc", "\\u202eabc"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_shows_stays(text: str, said: str) -> None:
    """Letters and pictures of all scripts; escapes stand for what cannot be seen."""
    assert printable(text) == said


def test_long_names_are_shortened_in_messages() -> None:
    """Both ends stay, on one line."""
    shown = short_name("a\n" + "x" * 5000 + "z")
    assert shown.startswith("a\\x0ax") and shown.endswith("xz") and "(5003 characters)" in shown
    assert len(shown) < 560


def test_all_commands_print_by_one_function() -> None:
    """`tell`, `show`, `say` and `emit` make text printable; no command writes past them."""
    folder = Path(cli.__file__).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    assert "click.echo(" in texts.pop("output.py")
    for word in ("click.echo(", "click.secho(", " print(", "sys.stdout.write("):
        assert [name for name, text in texts.items() if word in text] == []
