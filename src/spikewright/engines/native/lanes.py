"""Blocks of lanes: output channels that are computed together."""

from __future__ import annotations

_WIDE_ROWS = 3072  # rows up to which 64 lanes of weights fit three quarters of a second-level cache


def lane_widths(channels: int, rows: int) -> list[int]:
    """Blocks of output channels that are computed together."""
    widths: list[int] = []
    widest = 64 if rows <= _WIDE_ROWS else 32
    left = channels
    while left > 0:
        width = next((w for w in (widest, 32, 16) if w <= left and w <= widest), 16)
        widths.append(width)
        left -= width
    return widths
