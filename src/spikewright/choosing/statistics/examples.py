"""A few samples that stand for all, the same ones whatever the order: those of smallest hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEPT = 16


@dataclass(frozen=True, eq=False)
class Examples:
    """At most `KEPT` different samples, `{input name: (samples, *shape)}`, in the order of `keys`.

    A sample's key is a hash of its values, so that the choice does not depend on the samples'
    order. Merging keeps the samples that collecting everything would have kept (a bottom-k sketch;
    Cohen & Kaplan 2007). As hashes know nothing of values they are a random choice.
    """

    keys: tuple[str, ...]
    values: Mapping[str, NDArray]

    @classmethod
    def of(
        cls, sample: Mapping[str, NDArray], without_padding: Mapping[str, NDArray] | None = None
    ) -> Examples:
        """One sample, `{input name: (1, *shape)}`.

        Its key is that of the values in `without_padding`, where these are given.
        """
        digest = hashlib.sha256()
        for name, array in (without_padding or sample).items():
            digest.update(name.encode() + np.ascontiguousarray(array, np.float64).tobytes())
        return cls((digest.hexdigest()[:32],), dict(sample))

    @classmethod
    def join(cls, parts: Iterable[Examples]) -> Examples:
        """The smallest keys of all parts, each once."""
        parts = list(parts)
        places = {key: (part, i) for part in parts for i, key in enumerate(part.keys)}
        kept = sorted(places)[:KEPT]
        values = {
            name: np.stack([part.values[name][i] for part, i in map(places.__getitem__, kept)])
            for name in parts[0].values
        }
        return cls(tuple(kept), values)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Examples)
            and self.keys == other.keys
            and all(np.array_equal(self.values[name], other.values[name]) for name in self.values)
        )

    __hash__ = None  # type: ignore[assignment]
