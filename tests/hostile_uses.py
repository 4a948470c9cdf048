"""What is done with the files, texts and messages of strangers."""

from __future__ import annotations

import json
import os
import tempfile
import traceback
import unicodedata
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import spikewright as sw
from spikewright.errors import SpikewrightError


def _model(path: Path) -> None:
    """Convert it, show it, run it."""
    made = sw.convert(path)
    shown(str(made.trace), sw.graph.to_text(made.graph), repr(made))
    values = sum(np.prod(shape) for shape in made.graph.shapes.values())
    if values < 10**6:
        x = {name: np.zeros((1, *node.shape_out)) for name, node in made.inputs.items()}
        shown(repr(made.run(x, 2, progress=False)))


def _samples(path: Path) -> None:
    from spikewright.cli.files import load_samples

    load_samples(path)


def _saved(path: Path) -> None:
    for load in (sw.load, sw.graph.load, sw.network.load, sw.Statistics.load):
        _refused(lambda load=load: load(path))


def _paths(path: Path) -> None:
    """Every text as a path for every opener and writer, in a folder of its own."""
    from test_paths import OPENERS, WRITERS

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for text in json.loads(path.read_text()):
            inside = text.lstrip("/~").replace("..", "_")
            for open_it in OPENERS.values():
                _refused(lambda o=open_it, t=text: o(t))
            for write in (WRITERS["graph.save"], WRITERS["write_html"], WRITERS["network.save"]):
                _refused(lambda w=write, t=inside: w(t))
        os.chdir("/")


def _messages(path: Path) -> None:
    """Every text as the message of a page."""
    from spikewright.explorer.live import run_request_from

    for text in json.loads(path.read_text()):
        _refused(lambda t=text: _asked(t))
        _refused(lambda t=text: run_request_from(t, RUN))


def _asked(text: str) -> None:
    """What a page is told of a wish's sample."""
    from spikewright.explorer.message import settings_from

    _, settings = settings_from(text)
    SUBJECT.chosen(settings)
    settings.arguments(["relu1", "relu2"])


def _refused(use: Callable[[], Any]) -> None:
    """Errors of the project are expected; they are printable, and no book."""
    try:
        use()
    except SpikewrightError as error:
        shown(str(error))


UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def hidden(text: str) -> list[str]:
    """The characters of a text that show nothing, or that a terminal obeys."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in UNSEEN]


def shown(*texts: str) -> None:
    """Raise where a text would command a terminal, or fill it."""
    for text in texts:
        assert hidden(text.replace("\t", "")) == [], repr(text)[:300]
        assert len(text) < 10**6


USES: dict[str, Callable[[Path], None]] = {
    "npz": _samples,
    "nir": lambda path: shown(repr(sw.nir.load(path, 1e-3))),
    "saved": _saved,
    "paths": _paths,
    "messages": _messages,
}


def use(path: str) -> None:
    """Use a file, whose name begins with its kind; errors that it raises are looked at too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            USES.get(Path(path).name.partition("-")[0], _model)(Path(path))
        except SpikewrightError as error:
            shown(str(error))
            raise


def use_all(path: str) -> None:
    """Use every file that a list names; raises `AssertionError` that lists all raw errors."""
    raw = []
    for name in json.loads(Path(path).read_text()):
        try:
            use(name)
        except SpikewrightError:
            continue
        except Exception:
            raw.append(f"{Path(name).name}: {traceback.format_exc()[-1200:]}")
    assert not raw, "\n".join(raw)


def prepare(*kinds: str) -> None:
    """Import what these kinds need, and no more: each file is used in a fork of this process."""
    global SUBJECT, RUN
    for name in sw.__all__:
        getattr(sw, name)
    for module in dict.fromkeys(m for kind in kinds for m in _MODULES.get(kind, _ONNX)):
        import_module(module)
    if "messages" in kinds:
        from explorers import subject
        from networks import run

        SUBJECT, RUN = subject(20), run()


_ONNX = ("spikewright.frontends.onnx", "onnx.reference", "onnxruntime")
_MODULES: dict[str, tuple[str, ...]] = {
    "npz": (),
    "saved": (),
    "nir": ("nir", "h5py"),
    "keras": ("spikewright.frontends.keras", "h5py"),
    "pt2": ("spikewright.frontends.pytorch",),
    "paths": (*_ONNX, "test_paths", "spikewright.frontends.keras", "spikewright.frontends.pytorch"),
    "messages": ("spikewright.explorer.message", "spikewright.explorer.live"),
}
SUBJECT: Any = None
RUN: Any = None
