"""Optional dependencies: imported late, with the sentence that installs them in the error."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikewright.errors import MissingExtraError

_EXTRA_OF = {
    "keras": "keras",
    "h5py": "keras",
    "torch": "torch",
    "onnx": "onnx",
    "matplotlib": "report",
    "matplotlib.figure": "report",
    "sklearn": "demo",
    "sklearn.datasets": "demo",
}


def require(module: str) -> ModuleType:
    """Import `module`, or raise `MissingExtraError` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there and broken: its own message is the better one
        extra = _EXTRA_OF[module]
        raise MissingExtraError(
            f"{module.split('.')[0]!r} is needed here and is not installed. "
            f"Install it with: pip install 'spikewright[{extra}]'"
        ) from error
