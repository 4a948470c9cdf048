"""The mode of a module while it is traced or called: inference, returning tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree

from spikewright.frontends.preserving import Snapshot, preserved


@contextmanager
def inference(module: Any, *arguments: Any) -> Iterator[Snapshot]:
    """A context in which a module is called as at inference, and after which it is as before.

    It returns tensors, in whatever structure; a cache or a setting among them becomes None. The
    arguments of its calls keep their values too. Yields the snapshot of module and arguments.
    """
    with preserved(module, arguments) as before, torch.no_grad():
        evaluation(module)
        module.register_forward_hook(_tensors_alone)
        yield before


def evaluation(module: Any) -> None:
    """Put a module into evaluation mode, to be used where it is `preserved`."""
    for part in module.modules():
        part.training = False


def _tensors_alone(module: Any, args: Any, output: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf if isinstance(leaf, torch.Tensor) else None, output)
