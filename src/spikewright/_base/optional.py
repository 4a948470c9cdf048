"""Optional dependencies: imported late, with the sentence that installs them in the error."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikewright.errors import MissingExtraError

EXTRA_OF = {
    "keras": "keras",
    "h5py": "keras",
    "torch": "torch",
    "nir": "nir",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "matplotlib": "report",
    "scipy": "modelling",
    "sklearn": "modelling",
    "optuna": "tune",
    "sqlalchemy": "tune",
    "dask": "cluster",
    "distributed": "cluster",
    "starlette": "explore",
    "uvicorn": "explore",
}
"""The extra that installs each optional package, by the name that is imported."""


def require(module: str) -> ModuleType:
    """Import `module`, or raise `MissingExtraError` with the command that installs it."""
    package = module.partition(".")[0]
    extra = EXTRA_OF[package]
    try:
        importlib.import_module(package)
    except ImportError as error:
        if error.name != package:
            raise  # the package is there and broken: its own message is the better one
        raise MissingExtraError(
            f"{package!r} is needed here and is not installed. "
            f"Install it with: pip install 'spikewright[{extra}]'",
            name=package,
        ) from error
    return importlib.import_module(module)
