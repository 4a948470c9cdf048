"""Numbers of rows that a program would count from the end where they are below zero."""

from __future__ import annotations

from typing import Any

import torch

_aten = torch.ops.aten


def plain_rows(exported: Any) -> None:
    """Take `where(i < 0, i + n, i)` of whole numbers, as Keras looks rows up, for `i`.

    No row has a number below zero: a network that is given one refuses it.
    """
    for node in exported.graph.nodes:
        if node.target is _aten.where.self and _counts_from_the_end(*node.args):
            node.replace_all_uses_with(node.args[2])


def _counts_from_the_end(condition: Any, moved: Any, number: Any) -> bool:
    if not all(isinstance(node, torch.fx.Node) for node in (condition, moved, number)):
        return False
    whole = not number.meta["val"].is_floating_point()
    below = condition.target is _aten.lt.Scalar and condition.args == (number, 0)
    extent = moved.args[1] if moved.target is _aten.add.Tensor and len(moved.args) == 2 else None
    return whole and below and moved.args[0] is number and isinstance(extent, int)
