"""The mode of a module while it is traced or called: evaluation, returning tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree


@contextmanager
def evaluation(module: Any) -> Iterator[None]:
    """Evaluation mode; every module's own mode comes back afterwards."""
    modes = {part: part.training for part in module.modules()}
    for part in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def tensors_alone(module: Any) -> Iterator[None]:
    """Returned are tensors, in whatever structure; a cache or a setting among them becomes None."""

    def alone(module: Any, args: Any, output: Any) -> Any:
        return pytree.tree_map(
            lambda leaf: leaf if isinstance(leaf, torch.Tensor) else None, output
        )

    hook = module.register_forward_hook(alone)
    try:
        yield
    finally:
        hook.remove()
