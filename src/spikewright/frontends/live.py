"""Files of models as live models, and files of weights, of which no model can be made."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from spikewright._base.arguments import is_array
from spikewright._base.files import file_at, format_path
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
            f"{format_path(path)}: trained weights are written back to files that end in {known}. "
            "Load the model in Python, convert that, and use Training.write_back"
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


SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pkl", ".pickle")
"""Suffixes of files that hold weights, or pickles; none is opened."""


def instead_of_weights(model: Any) -> str | None:
    """Advice for weights without a model, in sentences; None for anything else."""
    if isinstance(model, str | Path):
        path = Path(model)
        if path.suffix.lower() not in SUFFIXES:
            return None
        loading = f"torch.load({path.name!r}, weights_only=True)"
        if path.suffix.lower() == ".safetensors":
            loading = f"safetensors.torch.load_file({path.name!r})"
        return (
            f"{path}: a file of this kind holds weights, or a pickle, which is never opened, since "
            f"files must run no code. {_build(loading)}"
        )
    if isinstance(model, Mapping) and _holds_arrays(model):
        return f"a {type(model).__name__} of arrays holds weights and no model. {_build('weights')}"
    return None


def _build(weights: str) -> str:
    return (
        f"Build the model first, model.load_state_dict({weights}), and give it with an "
        "example_input, or save it with torch.export.save as a .pt2 file."
    )


def _holds_arrays(values: Mapping[Any, Any]) -> bool:
    """Whether there are arrays in it, also inside, as checkpoints have them."""
    return any(
        is_array(value) or (isinstance(value, Mapping) and _holds_arrays(value))
        for value in values.values()
    )
