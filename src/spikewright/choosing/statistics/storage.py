"""Statistics in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright._base.schema import Natural, Positive, check, check_types
from spikewright.choosing.statistics.channels import channels_of
from spikewright.choosing.statistics.examples import KEPT, Examples
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.choosing.statistics.layer import LayerStatistics
from spikewright.errors import DamagedFileError

_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


class _Layer(TypedDict):
    """Plain data of a layer's statistics."""

    shape: list[Positive]
    axis: Natural | None
    rectifies: bool
    values: dict[str, Any]
    evaluated: NotRequired[Natural]


class _File(TypedDict):
    """Plain data of statistics."""

    layers: dict[str, _Layer]
    samples: Positive
    fingerprint: str
    keys: list[str]
    examples: dict[str, Any]


_COLUMNS = ("code", "counts", "first", "second")
_ENDS = ("lowest", "highest")


def save_parts(
    path: str | Path,
    layers: Mapping[str, LayerStatistics],
    samples: int,
    fingerprint: str,
    examples: Examples,
    overwrite: bool = False,
) -> None:
    """See `Statistics.save`."""
    encoder = _storage.ManifestEncoder()
    kept = {
        name: {
            "shape": list(layer.shape),
            "axis": layer.axis,
            "rectifies": layer.rectifies,
            "evaluated": layer.evaluated,
            "values": {c: encoder.encode(getattr(layer.values, c)) for c in (*_COLUMNS, *_ENDS)},
        }
        for name, layer in layers.items()
    }
    manifest = {
        "layers": kept,
        "samples": samples,
        "fingerprint": fingerprint,
        "keys": list(examples.keys),
        "examples": {name: encoder.encode(value) for name, value in examples.values.items()},
    }
    _storage.write(path, "statistics", manifest, encoder.arrays, overwrite=overwrite)


def load_parts(path: str | Path) -> tuple[dict[str, LayerStatistics], int, str, Examples]:
    """The contents of a file of `save_parts`: layers, number of samples, fingerprint, examples.

    Raises `MissingFileError` or `DamagedFileError`.
    """
    content, arrays = _storage.read(path, "statistics")
    decoder = _storage.ManifestDecoder(arrays, {})
    try:
        check(content, _File)
        layers = {name: _layer(entry, decoder) for name, entry in content["layers"].items()}
        examples = _examples(content, decoder)
    except _DAMAGE as error:
        raise DamagedFileError(
            f"{path}: its manifest does not describe statistics ({type(error).__name__}: {error})."
        ) from error
    return layers, content["samples"], content["fingerprint"], examples


def _examples(content: Any, decoder: _storage.ManifestDecoder) -> Examples:
    keys = tuple(content["keys"])
    values = {name: decoder.decode(entry) for name, entry in content["examples"].items()}
    for name, value in values.items():
        if value.dtype != np.float64 or len(value) != len(keys) or not np.all(np.isfinite(value)):
            raise ValueError(f"examples of {name!r} are not {len(keys)} samples of finite numbers")
    if not values or not 0 < len(keys) <= min(KEPT, content["samples"]):
        raise ValueError(f"{len(keys)} examples of {content['samples']} samples cannot be")
    if list(keys) != sorted(set(keys)):
        raise ValueError("the keys of examples are out of order")
    return Examples(keys, values)


def _layer(entry: Any, decoder: _storage.ManifestDecoder) -> LayerStatistics:
    shape, axis = tuple(entry["shape"]), entry["axis"]
    columns = {name: decoder.decode(entry["values"][name]) for name in (*_COLUMNS, *_ENDS)}
    channels = channels_of(shape, axis)
    _check(columns, channels)
    values = Histogram(channels, **columns)
    made = LayerStatistics(shape, axis, entry["rectifies"], values, entry.get("evaluated", 0))
    check_types(made)
    return made


def _check(columns: dict[str, NDArray], channels: int) -> None:
    """Raise `ValueError` where columns are not those of a histogram."""
    sizes = {columns[name].shape for name in _COLUMNS}
    kinds = {columns[name].dtype for name in _COLUMNS} | {np.dtype(np.int64)}
    if len(sizes) > 1 or len(kinds) > 1 or columns["code"].ndim != 1:
        raise ValueError("a histogram's columns differ")
    code, counts, first, second = (columns[name] for name in _COLUMNS)
    if np.any(np.diff(code) <= 0) or np.any(counts < 1):
        raise ValueError("a histogram's bins are out of order or empty")
    if len(code) and not 0 <= code[0] <= code[-1] < channels << 17:
        raise ValueError("a histogram's bins lie in no channel")
    if not Histogram.holds(counts, first, second):
        raise ValueError("a histogram's sums are not those of remainders")
    lowest, highest = (columns[name] for name in _ENDS)
    filled = np.isin(np.arange(channels), code >> 17)
    for ends, none in ((lowest, np.inf), (highest, -np.inf)):
        if ends.shape != (channels,) or ends.dtype != np.float32:
            raise ValueError("a histogram's ends are not a number for each channel")
        if not np.all(np.where(filled, np.isfinite(ends), ends == none)):
            raise ValueError("a histogram's ends are not finite, or belong to no values")
    if np.any(filled & (lowest > highest)):
        raise ValueError("a histogram ends before it begins")
