"""Loading a Keras model from a file, without running code of the file."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spikewright._optional import require
from spikewright.errors import DamagedFileError, ReadError, UnsupportedLayerError
from spikewright.frontends.keras.legacy import repaired
from spikewright.frontends.keras.scanning import Scan

_UNREADABLE = (
    OSError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What opening and parsing a file that is not what it should be raises."""

_MOST_EXPANSION = 100
_SMALL = 1 << 26


def load(path: Path) -> Any:
    """The model of a `.keras` file, or of an `.h5` or `.hdf5` file with a whole model.

    Raises `DamagedFileError`, `UnsupportedLayerError` listing the layers that cannot be read (Keras
    does not even build them), or `ReadError` for what Keras 2 wrote and Keras 3 cannot build.
    """
    describe = _archive if path.suffix == ".keras" else _hdf5
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise ReadError(f"{path}: rename it to end in .keras, .h5 or .hdf5, as Keras expects")
    try:
        found, version = describe(path)
        of_keras_2 = version.startswith("2.")
        description = repaired(found) if of_keras_2 else found
        scan = Scan()
        scan.layer({k: v for k, v in description.items() if k != "compile_config"})
    except DamagedFileError:
        raise
    except _UNREADABLE as error:
        raise DamagedFileError(
            f"{path}: not a readable Keras model ({type(error).__name__}: {error}). Save it again."
        ) from error
    if scan.refusals:
        raise UnsupportedLayerError(scan.refusals)
    if of_keras_2 and path.suffix == ".keras":
        raise ReadError(
            f"{path}: written by Keras {version}, whose .keras files Keras 3 cannot load. Load it "
            f"with Keras 2 and save it as .h5."
        )
    try:
        return _build(path, None if description == found else description, _own_layers(found))
    except Exception as error:  # Keras lets anything out when a description makes no sense
        message = (
            f"{path}: Keras {require('keras').__version__} cannot rebuild what Keras {version} "
            f"wrote ({type(error).__name__}: {error})."
        )
        if of_keras_2:
            options = "Rebuild the model in Keras 3 and load the weights into it, or export ONNX."
            raise ReadError(f"{message} {options}") from error
        raise DamagedFileError(f"{message} Save it again, as .keras.") from error


def _own_layers(description: Any) -> dict[str, type]:
    """Layers of `keras.applications` in a description: by name Keras does not find them in HDF5."""
    text = json.dumps(description)
    own: dict[str, type] = {}
    if '"LayerScale"' in text:
        own["LayerScale"] = require("keras.src.applications.convnext").LayerScale
    if '"CustomScaleLayer"' in text:
        applications = require("keras.src.applications.inception_resnet_v2")
        own["CustomScaleLayer"] = applications.CustomScaleLayer
    return own


def _build(path: Path, description: Any | None, own: Mapping[str, type]) -> Any:
    """Load the model, with another description if one is given for the file's own."""
    load_model = partial(
        require("keras").saving.load_model,
        custom_objects=dict(own) or None,
        compile=False,
        safe_mode=True,
    )
    if description is None:
        return load_model(str(path))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        with require("h5py").File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(description)
        return load_model(str(copy))


def _archive(path: Path) -> tuple[dict[str, Any], str]:
    """Description of the model in a `.keras` archive, and the version of Keras that wrote it."""
    if not zipfile.is_zipfile(path):
        hint = " It is an HDF5 file: rename it to end in .h5." if _is_hdf5(path) else ""
        raise DamagedFileError(f"{path}: not a zip archive, which a .keras file is.{hint}")
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size > max(_SMALL, _MOST_EXPANSION * member.compress_size):
                raise DamagedFileError(
                    f"{path}: {member.filename} would grow to {member.file_size} bytes from "
                    f"{member.compress_size}, as no model does."
                )
        broken = archive.testzip()
        if broken is not None:
            raise DamagedFileError(f"{path}: {broken} inside it is damaged. Copy or save it again.")
        description = json.loads(archive.read("config.json"))
        metadata = json.loads(archive.read("metadata.json"))
    return description, str(metadata["keras_version"])


def _hdf5(path: Path) -> tuple[dict[str, Any], str]:
    """Description of the model in an HDF5 file, and the version of Keras that wrote it."""
    if not _is_hdf5(path):
        raise DamagedFileError(
            f"{path}: not an HDF5 file, which a {path.suffix} file is. Save it again."
        )
    with require("h5py").File(path, "r") as file:
        attributes = {key: file.attrs.get(key) for key in ("model_config", "keras_version")}
    if attributes["model_config"] is None:
        raise DamagedFileError(
            f"{path}: holds no model, perhaps weights alone. Save the whole model, with "
            f"model.save(...) rather than model.save_weights(...)."
        )
    return json.loads(attributes["model_config"]), _text(attributes["keras_version"])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"
