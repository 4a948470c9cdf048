"""Keys of decoders, made of all that they depend on: equal keys, equal bits."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.codec import Encoder
from spikewright._base.schema import declares_fields
from spikewright.network.solvers import NoSolver, Solver

WORTH = 1e7
"""Multiply-adds from which a closed form takes several times as long as finding its result.

About 120 neurons in one dimension: below, writing a file costs what solving does.
"""

_OWN = "spikewright."
_CODE = ("_base/equations", "network/neurons", "network/solvers", "engines")
_LIBRARIES = ("numpy", "scipy", "scikit-learn")


def worth_keeping(solver: Solver, points: int, neurons: int) -> bool:
    """Whether solving takes longer than looking up.

    That is so for all solvers without a closed form, and for none that is given its result.
    """
    if isinstance(solver, NoSolver):
        return False
    return not solver.compositional or points * neurons * min(points, neurons) >= WORTH


def can_be_keyed(*objects: Any) -> bool:
    """Whether their code is the package's own: a user's code may change under the same name."""
    return all(_is_own(item) for item in objects)


def _is_own(item: Any) -> bool:
    if isinstance(item, type) or not declares_fields(type(item)):
        return False
    inner = (getattr(item, f.name) for f in fields(item))
    return type(item).__module__.startswith(_OWN) and all(
        _is_own(part) for part in inner if is_dataclass(part)
    )


def decoder_key(
    solver: Solver, neuron_type: Any, arrays: Iterable[NDArray], key: tuple[int, int]
) -> str:
    """The name under which decoders are kept.

    `arrays` are the points, encoders, gain, bias and scale of the activities, and the wanted
    values, in a fixed order. `key` is that of the solver's random numbers. The solving code and the
    versions of its libraries are part of the key too.
    """
    encoder = Encoder()
    told = [_named(encoder, solver), _named(encoder, neuron_type), list(key)]
    digest = blake2b(_code().encode(), digest_size=20)
    digest.update(json.dumps(told, sort_keys=True).encode())
    for array in (*arrays, *encoder.arrays.values()):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _named(encoder: Encoder, item: Any) -> Any:
    return [type(item).__module__, encoder.encode(item)]


@cache
def _code() -> str:
    """A digest of the code that makes decoders, and the versions of its libraries."""
    digest = blake2b(digest_size=20)
    root = Path(__file__).parents[1]
    for place in _CODE:
        for file in sorted((root / place).glob("*.py")):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return " ".join([digest.hexdigest(), platform.machine(), *map(_version, _LIBRARIES)])


def _version(library: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # late: quick to import

    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
