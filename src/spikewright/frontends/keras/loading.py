"""Importing Keras with a backend that is installed, and loading a model without code of its file.

The model of a file is built before any memory is taken for its weights.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from spikewright._base.archives import UNREADABLE, Archive
from spikewright._base.budget import Budget, budget_of
from spikewright._base.hdf5 import look_through
from spikewright._base.optional import require
from spikewright.advice import advise
from spikewright.errors import DamagedFileError, MissingExtraError, ReadError, UnsupportedLayerError
from spikewright.frontends.keras.legacy import repaired
from spikewright.frontends.keras.safe_deserialization import ConfigChecker

BACKENDS = ("torch", "jax", "tensorflow")


def import_keras() -> ModuleType:
    """Keras 3.

    Where Keras is not imported yet and nothing has chosen a backend, an installed one is taken.
    Raises `MissingExtraError` when Keras or a backend is missing, `ReadError` for Keras 2.
    """
    if "keras" in sys.modules or find_spec("keras") is None:
        keras = require("keras")
    else:
        with _environment("KERAS_BACKEND", choose_backend()):
            keras = require("keras")
    version = str(getattr(keras, "__version__", "2"))
    if int(version.split(".")[0]) < 3:
        raise ReadError(
            f"Keras {version} is installed and Keras 3 is needed. Upgrade with: "
            f"pip install 'spikewright[keras]'"
        )
    return keras


def choose_backend() -> str:
    """The backend that the environment asks for, else keras.json's if installed, else any.

    Keras writes keras.json unasked and with a backend that may not be there, so the file's word
    counts only where it can be followed.
    """
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        if asked in BACKENDS and find_spec(asked) is None:
            raise MissingExtraError(
                f"KERAS_BACKEND is {asked!r}, which is not installed. "
                f"{advise('Keras without a backend')}"
            )
        return asked
    installed = [name for name in BACKENDS if find_spec(name) is not None]
    configured = _configured_backend()
    if configured is not None and configured not in set(BACKENDS) - set(installed):
        return configured
    if not installed:
        raise MissingExtraError(
            f"Keras needs one of {', '.join(BACKENDS)}, and none is installed. "
            f"{advise('Keras without a backend')}"
        )
    return installed[0]


def _configured_backend() -> str | None:
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        backend = json.loads((home / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # Keras itself goes on without a keras.json that it cannot read
    return backend if isinstance(backend, str) else None


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable while Keras reads it, and leave no trace."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


_UNSTORED = 1_000_000
"""Numbers that a model may declare beyond those that its file holds."""

_WAITING = "uninitialized_variables"


class TooManyWeights(ValueError):
    """A model declares far more weights than its file holds."""


def built(make: Callable[[], Any], stored: int, own_classes: bool = False) -> Any:
    """The model that `make` builds, its weights not loaded yet.

    Raises `TooManyWeights` where it declares far more than the `stored` numbers of its file:
    nothing has been allocated for them then. With `own_classes`, which may need the values of
    weights while they are built, one that cannot be built without them is built with them.
    """
    try:
        return _sized(make, stored)
    except TooManyWeights:
        raise
    except Exception:
        if not own_classes:
            raise
        return make()


def _sized(make: Callable[[], Any], stored: int) -> Any:
    """The model, its weights allocated when it is clear how many they are."""
    scope = require("keras").StatelessScope
    with _forgetting():
        with scope(initialize_variables=False):
            model = make()
        declared = sum(math.prod(weight.shape) for weight in model.variables)
        if declared > 2 * stored + _UNSTORED:
            raise TooManyWeights(f"it declares {declared} weights, and the file holds {stored}")
    with scope():
        pass  # on leaving it Keras allocates all weights that wait for that
    return model


@contextmanager
def _forgetting() -> Iterator[None]:
    """A context: after an error inside it, the weights made in it are never allocated."""
    state = require("keras.src.backend.common.global_state")
    waiting = list(state.get_global_attribute(_WAITING, []))
    try:
        yield
    except BaseException:
        state.set_global_attribute(_WAITING, waiting)
        raise


def from_archive(description: dict[str, Any]) -> Any:
    """The model that the description in a `.keras` archive means."""
    description = {**description, "compile_config": None}
    own = _own_layers(description)
    saving = require("keras").saving
    return saving.deserialize_keras_object(description, own, safe_mode=True)


def from_hdf5(description: dict[str, Any]) -> Any:
    """The model that the description in an HDF5 file means, in the format before Keras 3."""
    legacy = require("keras.src.legacy.saving.saving_utils")
    options = require("keras.src.legacy.saving.saving_options")
    serialization = require("keras.src.saving.serialization_lib")
    with ExitStack() as scopes:
        scopes.enter_context(options.keras_option_scope(use_legacy_config=True))
        scopes.enter_context(serialization.SafeModeScope(True))
        return legacy.model_from_config(description, custom_objects=_custom(description))


def _custom(description: dict[str, Any]) -> dict[str, Any]:
    """Classes by name: Keras's own, and those of the user that are needed."""
    registered = require("keras").saving.get_custom_objects()
    return {**_own_layers(description), **registered}


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


_WEIGHTS = "model.weights.h5"


@dataclass(frozen=True)
class StoredModel:
    """The contents of a file: the model's description, its writer's version, the weights' path.

    `numbers` is an upper bound of the number of weights.
    """

    description: dict[str, Any]
    version: str
    weights: Path
    numbers: int

    @property
    def of_keras_2(self) -> bool:
        """Whether Keras 2 wrote it."""
        return self.version.startswith("2.")


def load(path: Path) -> Any:
    """The model of a `.keras` file, or of an `.h5` or `.hdf5` file with a whole model.

    Raises `DamagedFileError`, `UnsupportedLayerError` listing the layers that cannot be read (Keras
    does not even build them), or `ReadError` for a model of Keras 2 that Keras 3 cannot build.
    """
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise ReadError(f"{path}: rename it to end in .keras, .h5 or .hdf5, as Keras expects")
    archive = path.suffix == ".keras"
    budget = budget_of(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            stored = _archive(path, Path(folder), budget) if archive else _hdf5(path, budget)
            json.dumps(stored.description, ensure_ascii=False).encode()  # names can be printed
            description = repaired(stored.description) if stored.of_keras_2 else stored.description
            import spikewright.sources.keras  # noqa: F401  (a file may hold its layers)

            scan = ConfigChecker()
            scan.layer({k: v for k, v in description.items() if k != "compile_config"})
        except DamagedFileError:
            raise
        except UNREADABLE as error:
            raise DamagedFileError(
                f"{path}: not a readable Keras model ({type(error).__name__}: {error}). Save it "
                "again."
            ) from error
        if scan.refusals:
            raise UnsupportedLayerError(scan.refusals)
        if stored.of_keras_2 and archive:
            raise ReadError(
                f"{path}: written by Keras {stored.version}, whose .keras files Keras 3 cannot "
                "load. Load it with Keras 2 and save it as .h5."
            )
        return _rebuilt(path, replace(stored, description=description), scan.own_classes)


def _rebuilt(path: Path, stored: StoredModel, own_classes: bool) -> Any:
    """The model, with its weights; errors quote Keras's own."""
    try:
        make = from_archive if path.suffix == ".keras" else from_hdf5
        model = built(partial(make, stored.description), stored.numbers, own_classes)
        model.load_weights(str(stored.weights))
        return model
    except Exception as error:  # Keras lets anything out when a description makes no sense
        message = (
            f"{path}: Keras {require('keras').__version__} cannot rebuild what Keras "
            f"{stored.version} wrote ({type(error).__name__}: {error})."
        )
        if stored.of_keras_2:
            options = "Rebuild the model in Keras 3 and load the weights into it, or export ONNX."
            raise ReadError(f"{message} {options}") from error
        raise DamagedFileError(f"{message} Save it again, as .keras.") from error


def _archive(path: Path, folder: Path, budget: Budget) -> StoredModel:
    """The contents of a `.keras` archive; its weights are unpacked into a folder."""
    if not zipfile.is_zipfile(path):
        hint = " It is an HDF5 file: rename it to end in .h5." if _is_hdf5(path) else ""
        raise DamagedFileError(f"{path}: not a zip archive, which a .keras file is.{hint}")
    with Archive(path, budget) as archive:
        description = archive.json("config.json")
        metadata = archive.json("metadata.json")
        (weights := folder / _WEIGHTS).write_bytes(archive.read(_WEIGHTS))
    numbers = look_through(weights, path, budget=budget).numbers
    return StoredModel(description, str(metadata["keras_version"]), weights, numbers)


def _hdf5(path: Path, budget: Budget) -> StoredModel:
    """The contents of an HDF5 file."""
    if not _is_hdf5(path):
        raise DamagedFileError(
            f"{path}: not an HDF5 file, which a {path.suffix} file is. Save it again."
        )
    found = look_through(path, path, ("model_config", "keras_version"), budget)
    if "model_config" not in found.attributes:
        raise DamagedFileError(
            f"{path}: holds no model, perhaps weights alone. Save the whole model, with "
            f"model.save(...) rather than model.save_weights(...)."
        )
    description = json.loads(found.attributes["model_config"])
    return StoredModel(
        description, found.attributes.get("keras_version", "None"), path, found.numbers
    )


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"
