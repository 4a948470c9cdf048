"""Requirements of layers with sliding windows on their geometry and their input."""

from __future__ import annotations

from spikewright._base.windows import Windows, split_shape
from spikewright.graph.layers.base import Shape, require


def windowed_extent(
    kind: str, windows: Windows, shape: Shape, last: bool
) -> tuple[tuple[int, ...], int]:
    """Extent `(*windows,)` of the output and number of channels of the input.

    Raises `GraphError` where the geometry is impossible or does not fit the (unbatched) shape.
    """
    rank = len(windows.size)
    for name, values in (
        ("size", windows.size),
        ("stride", windows.stride),
        ("dilation", windows.dilation),
    ):
        require(
            len(values) == rank and min(values, default=0) >= 1,
            f"{kind}: {name} {values} must be {max(rank, 1)} numbers of at least 1",
        )
    require(
        len(windows.padding) == rank and min(map(min, windows.padding)) >= 0,
        f"{kind}: padding {windows.padding} must be {rank} pairs of at least 0",
    )
    require(
        len(shape) == rank + 1,
        f"{kind}: {rank}-D windows need an input of rank {rank + 1}, got shape {shape}",
    )
    spatial, channels = split_shape(shape, last)
    extent = windows.output_extent(spatial)
    require(min(extent) > 0, f"{kind}: the window is larger than its padded input {shape}")
    return extent, channels
