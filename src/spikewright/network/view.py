"""The neurons of an ensemble, and parts of objects: `ensemble.neurons[::2]`, `node[:3]`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked
from spikewright.network.shapes import Shape
from spikewright.network.transforms import Chain, Place, Reshape, Slice, Sparse, Transform

if TYPE_CHECKING:
    from spikewright.network.ensemble import Ensemble


class ObjView(Checked):
    """A part of a node, an ensemble or neurons (`target`), as `pre` or `post` of a connection.

    Its shape is that of the same part of a NumPy array; a single value has shape `(1,)`.
    """

    def __init__(self, target: Any, key: Any) -> None:
        self.target = target
        self.key = key if isinstance(key, tuple) else (key,)
        self._made = True

    def select(self, shape: Shape) -> Transform:
        """The transform that takes this part out of an array of `shape`."""
        ranges = self._ranges(shape)
        if ranges is not None:
            part = Slice(ranges)
            kept = self._kept(ranges)
            return part if len(kept) == len(ranges) else Chain((part, Reshape(kept)))
        picked = self._indices(shape)
        size = math.prod(shape)
        return Sparse(
            np.arange(picked.size), picked.ravel(), np.ones(picked.size), picked.shape, size
        )

    def place(self, shape: Shape) -> tuple[Shape, Transform]:
        """Shape of the part, and the transform that puts an array of that shape into `shape`."""
        ranges = self._ranges(shape)
        if ranges is not None:
            place, kept = Place(ranges, shape), self._kept(ranges)
            if len(kept) == len(ranges):
                return kept, place
            return kept, Chain((Reshape(tuple(len(range(*r)) for r in ranges)), place))
        picked = self._indices(shape)
        return picked.shape, Sparse(
            picked.ravel(), np.arange(picked.size), np.ones(picked.size), shape, picked.size
        )

    @property
    def size_in(self) -> int:
        """Number of values of the part that take input; 0 where the whole takes none."""
        return self.numbers(self.target.shape_in).size if self.target.size_in else 0

    @property
    def size_out(self) -> int:
        """Number of values that the part sends; 0 where the whole sends none."""
        return self.numbers(self.target.shape_out).size if self.target.size_out else 0

    def numbers(self, shape: Shape) -> NDArray:
        """Indices of the part's values in a flat array of `shape`, in the part's shape."""
        self._ranges(shape)  # what is out of range has one message
        return self._indices(shape)

    def __repr__(self) -> str:
        return f"{self.target!r}[{', '.join(map(_text, self.key))}]"

    def _kept(self, ranges: tuple[tuple[int, int, int], ...]) -> Shape:
        """Shape of the part: an index takes its axis away, as in NumPy."""
        single = [is_whole(part) for part in self.key] + [False] * (len(ranges) - len(self.key))
        extents = (len(range(*r)) for r in ranges)
        return tuple(n for n, gone in zip(extents, single, strict=True) if not gone) or (1,)

    def _ranges(self, shape: Shape) -> tuple[tuple[int, int, int], ...] | None:
        """Ranges per axis, if the key has only slices with positive steps."""
        if len(self.key) > len(shape):
            return None  # an ellipsis, or one index too many: NumPy knows
        ranges = []
        rest = (slice(None),) * (len(shape) - len(self.key))
        for part, n in zip((*self.key, *rest), shape, strict=True):
            if is_whole(part):
                if not -n <= part < n:
                    raise NetworkError(f"{self!r}: {part} is out of range for {n} values")
                start = int(part) % n
                ranges.append((start, start + 1, 1))
            elif isinstance(part, slice) and _is_plain(part):
                start, stop, step = part.indices(n)
                ranges.append((start, max(start, stop), step))
            else:
                return None
        return tuple(ranges)

    def _indices(self, shape: Shape) -> NDArray:
        try:
            return np.atleast_1d(np.arange(math.prod(shape)).reshape(shape)[self.key])
        except (IndexError, TypeError, ValueError) as error:
            raise NetworkError(f"{self!r}: {error}") from None


def _is_plain(part: slice) -> bool:
    """Whether a slice is made of whole numbers and goes forwards."""
    ends = all(end is None or is_whole(end) for end in (part.start, part.stop, part.step))
    return ends and (part.step is None or part.step > 0)


def _text(part: Any) -> str:
    """An index as it is written between brackets."""
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
        return ":".join(ends if part.step is None else [*ends, str(part.step)])
    return "..." if part is Ellipsis else str(part)


class NeuronsView(Checked):
    """Direct access to an ensemble's neurons: input is current (times gain), output is spikes."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self._made = True

    @property
    def shape(self) -> Shape:
        """Shape of the population."""
        return self.ensemble.shape

    @property
    def size_in(self) -> int:
        """Number of neurons; 0 with `Direct()`, which has none."""
        return 0 if self.ensemble.is_direct else self.ensemble.n_neurons

    shape_in = shape_out = shape
    size_out = size_in

    def __getitem__(self, key: Any) -> ObjView:
        return ObjView(self, key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeuronsView) and other.ensemble is self.ensemble

    def __hash__(self) -> int:
        return hash((NeuronsView, id(self.ensemble)))

    def __repr__(self) -> str:
        return f"<Neurons of {self.ensemble!r}>"
