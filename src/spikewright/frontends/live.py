"""Files of models as live models, which trained weights can be put into, and back into files."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from spikewright._base.files import file_at, shown
from spikewright._base.optional import require
from spikewright.errors import ReadError
from spikewright.frontends.preserving import preserved

_LOADED = (".keras", ".h5", ".hdf5", ".onnx")


def live(path: Path) -> Any:
    """The model of a Keras or ONNX file; no code of the file is run.

    Raises `ReadError` for other files, `MissingFileError`, and as the readers of these do.
    """
    suffix = path.suffix.lower()
    if suffix not in _LOADED:
        known = ", ".join(_LOADED)
        raise ReadError(
            f"{shown(path)}: trained weights are written back to files that end in {known}. Load "
            " the model in Python, convert that, and use Training.write_back"
        )
    file_at(path)
    if suffix == ".onnx":
        return import_module("spikewright.frontends.onnx.files").load(path)[0]
    require("keras")
    with preserved():  # building it draws initial weights
        return import_module("spikewright.frontends.keras.loading").load(path)


def check_ending(model: Any, name: str) -> None:
    """Raise `ReadError` for a file name that does not end as those of the framework do."""
    if Path(name).suffix.lower() != _ending(model):
        raise ReadError(
            f"{name}: a model of this framework is written to a file that ends in {_ending(model)}"
        )


def packed(model: Any) -> bytes:
    """The bytes of a model's file."""
    if _ending(model) == ".onnx":
        content: bytes = model.SerializeToString()
        return content
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model.keras"
        model.save(place)
        return place.read_bytes()


def _ending(model: Any) -> str:
    return ".onnx" if hasattr(model, "SerializeToString") else ".keras"
