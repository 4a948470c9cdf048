"""The mode of a module while it is traced or called, and state that forward leaves in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.preserving import Snapshot, preserved
from spikewright.frontends.pytorch.arguments import Arguments
from spikewright.frontends.pytorch.registry import STATE


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


_PYTORCHS = (
    "_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "training",
    "forward",  # replaced while a module is traced
)  # fmt: skip


def set_by_forward(module: Any, before: Snapshot) -> list[str]:
    """A list that holds the attributes which forward has set, once the module has returned.

    To be used where the module is `preserved`. Layers of PyTorch are left out: they may set their
    own attributes.
    """
    changed: list[str] = []
    parts = {
        path: part
        for path, part in module.named_modules()
        if not type(part).__module__.startswith("torch.nn.")
    }

    def note(*call: Any) -> None:
        changed[:] = [
            f"{path}.{name}".lstrip(".")
            for path, part in parts.items()
            for name in before.changes(part)
            if name not in _PYTORCHS
        ]

    module.register_forward_hook(note)
    return changed


def refuse_memory(module: Any, changed: Sequence[str], call: Arguments) -> None:
    """Raise `UnsupportedLayerError` if state that forward sets changes its next result.

    The module is called twice, on random numbers.
    """
    generator = torch.Generator().manual_seed(0)

    def random(tensor: Any) -> Any:
        if not tensor.is_floating_point():
            return tensor
        return torch.randn(tensor.shape, generator=generator).to(tensor)

    given = call.each(random)
    with inference(module, given.args, given.kwargs):
        try:
            first, second = (
                pytree.tree_leaves(module(*given.args, **given.kwargs)) for _ in range(2)
            )
        except Exception as error:
            raise ReadError(
                f"the {type(module).__name__} keeps {', '.join(changed)} from call to call, and "
                f"the second call fails: {type(error).__name__}: {error}"
            ) from error
    if not all(map(_equal, first, second)):
        raise UnsupportedLayerError([Refusal(name, "attribute", *STATE) for name in changed])


def _equal(first: Any, second: Any) -> bool:
    if not isinstance(first, torch.Tensor):
        return True
    return first.shape == second.shape and torch.allclose(first, second, equal_nan=True)
