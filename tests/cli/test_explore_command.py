"""`spikewright explore` prints an address, and serves it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner

import spikewright as sw
from spikewright.cli import main
from spikewright.explorer import Explorer
from spikewright.showing import demo


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Explorer, httpx.Response]]:
    """The page as it was served before the command ended."""
    found: list[tuple[Explorer, httpx.Response]] = []

    def wait(explorer: Explorer) -> None:
        found.append((explorer, httpx.get(explorer.url, trust_env=False)))
        explorer.close()

    monkeypatch.setattr(Explorer, "wait", wait)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Some digits."""
    x, y = demo.held_out(6)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    return tmp_path / "d.npz"


@pytest.mark.parametrize("model", [False, True])
def test_the_address_stands_on_a_line(served: list[Any], data: Path, model: bool) -> None:
    """Of the shipped digits, and of a model with data; the page is there."""
    more = [str(demo.MODEL), f"--data={data}"] if model else []
    done = CliRunner().invoke(main, ["explore", "--no-browser", *more])
    ((explorer, answer),) = served

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [explorer.url]
    assert explorer.url.startswith("http://127.0.0.1:")
    assert answer.status_code == 200
    assert "<h1" in answer.text


def test_names_of_classes_are_read(served: list[Any], data: Path) -> None:
    """Names are separated by commas; too few are refused with both numbers."""
    told = ["explore", "--no-browser", str(demo.MODEL), f"--data={data}"]
    done = CliRunner().invoke(main, [*told, "--class-names=a,b b,c,d,e,f,g,h,i,j"])
    assert done.exit_code == 0, done.output
    assert served[0][0]._session.class_names[:3] == ("a", "b b", "c")
    done = CliRunner().invoke(main, [*told, "--class-names=a,b"])
    assert done.exit_code != 0
    assert "give 10 names; got 2: a, b" in done.output


def test_a_saved_network_is_loaded_again(
    served: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page says how, with the file's name, in Python that runs."""
    monkeypatch.chdir(tmp_path)
    sw.convert(demo.MODEL, spiking=True, scale_firing_rates=6.0).save("net.sw")
    asked: list[Any] = []
    module = sys.modules["spikewright.explorer.explore"]
    whole = module._session
    monkeypatch.setattr(module, "_session", lambda *a: asked.append(whole(*a)) or asked[0])
    done = CliRunner().invoke(main, ["explore", "--no-browser", "net.sw"])
    (subject,) = asked

    assert done.exit_code == 0, done.output
    made = eval(f"{subject.model}.replace(max_spikes_per_step=1)", {"sw": sw})
    assert made.resolved["scale_firing_rates"] == subject.first.scale == 6.0


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    """The frame leads to the address, which is escaped, and has a title."""
    explorer = sw.explore()
    shown = explorer._repr_html_()
    explorer.close()

    assert f'src="{explorer.url}"' in shown
    assert shown.startswith("<iframe") and "title=" in shown
    assert explorer.url in repr(explorer)


def test_a_closed_explorer_serves_nothing(served: list[Any]) -> None:
    """The port is free again; --json gives the address as data."""
    done = CliRunner().invoke(main, ["explore", "--no-browser", "--json"])
    url = json.loads(done.stdout)["url"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_port_that_is_taken(served: list[Any]) -> None:
    """It is a sentence that names the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = CliRunner().invoke(main, ["explore", "--no-browser", f"--port={port}"])
    assert done.exit_code == 2
    assert f"port {port}" in done.stderr
    assert served == []


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--data={data}"], "MODEL"),
        (["missing.onnx"], "missing.onnx"),
        (["{model}", "--data=missing.npz"], "missing.npz"),
        (["{model}", "--data={wrong}"], "shape"),
    ],
)
def test_mistakes_are_sentences(
    served: list[Any], data: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    """Nothing is served, and the sentence names what is wrong."""
    np.savez(tmp_path / "w.npz", x=np.random.default_rng(0).random((4, 3)))
    given = {"model": demo.MODEL, "data": data, "wrong": tmp_path / "w.npz"}
    told = [argument.format(**given) for argument in arguments]
    done = CliRunner().invoke(main, ["explore", "--no-browser", *told])

    assert done.exit_code == 2
    assert named in done.stderr
    assert served == []
