"""Statistics in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright import _storage
from spikewright.calibrate.channels import channels_of
from spikewright.calibrate.examples import Examples
from spikewright.calibrate.histogram import Histogram
from spikewright.calibrate.layer import LayerStatistics
from spikewright.errors import DamagedFileError

if TYPE_CHECKING:
    from spikewright.calibrate.statistics import Statistics

_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
_COLUMNS = ("code", "counts", "first", "second")
_ENDS = ("lowest", "highest")


def save(statistics: Statistics, path: str | Path) -> None:
    """See `Statistics.save`."""
    encoder = _storage.Encoder()
    layers = {
        name: {
            "shape": list(layer.shape),
            "axis": layer.axis,
            "rectifies": layer.rectifies,
            "values": {c: encoder.encode(getattr(layer.values, c)) for c in (*_COLUMNS, *_ENDS)},
        }
        for name, layer in statistics.layers.items()
    }
    examples = statistics.examples
    manifest = {
        "layers": layers,
        "samples": statistics.samples,
        "fingerprint": statistics.fingerprint,
        "keys": list(examples.keys),
        "examples": {name: encoder.encode(value) for name, value in examples.values.items()},
    }
    _storage.write(path, "statistics", manifest, encoder.arrays)


def load_parts(path: str | Path) -> tuple[dict[str, LayerStatistics], int, str, Examples]:
    """What `save` wrote: layers, number of samples, fingerprint, examples.

    Raises `FileNotFoundError` or `DamagedFileError`.
    """
    content, arrays = _storage.read(path, "statistics")
    decoder = _storage.Decoder(arrays, {})
    try:
        layers = {name: _layer(entry, decoder) for name, entry in content["layers"].items()}
        values = {name: decoder.decode(entry) for name, entry in content["examples"].items()}
        keys = tuple(content["keys"])
        if any(len(value) != len(keys) for value in values.values()):
            raise ValueError("examples and their keys differ in number")
        samples, fingerprint = content["samples"], content["fingerprint"]
        if not (isinstance(samples, int) and isinstance(fingerprint, str)):
            raise TypeError("samples or fingerprint are of the wrong type")
    except _DAMAGE as error:
        raise DamagedFileError(
            f"{path}: its manifest does not describe statistics ({type(error).__name__}: {error})."
        ) from error
    return layers, samples, fingerprint, Examples(keys, values)


def _layer(entry: Any, decoder: _storage.Decoder) -> LayerStatistics:
    shape, axis = tuple(int(n) for n in entry["shape"]), entry["axis"]
    columns = {name: decoder.decode(entry["values"][name]) for name in (*_COLUMNS, *_ENDS)}
    channels = channels_of(shape, axis)
    _check(columns, channels)
    made = LayerStatistics(shape, axis, entry["rectifies"], Histogram(channels, **columns))
    _storage.check_types(made)
    return made


def _check(columns: dict[str, NDArray], channels: int) -> None:
    """Raise `ValueError` where columns are not those of a histogram."""
    sizes = {columns[name].shape for name in _COLUMNS}
    kinds = {columns[name].dtype for name in _COLUMNS} | {np.dtype(np.int64)}
    if len(sizes) > 1 or len(kinds) > 1 or columns["code"].ndim != 1:
        raise ValueError("a histogram's columns differ")
    if any(columns[name].shape != (channels,) for name in _ENDS):
        raise ValueError("a histogram's ends do not fit its channels")
    code = columns["code"]
    if np.any(np.diff(code) <= 0) or np.any(columns["counts"] < 1):
        raise ValueError("a histogram's bins are out of order or empty")
    if len(code) and not 0 <= code[0] <= code[-1] < channels << 17:
        raise ValueError("a histogram's bins lie in no channel")
