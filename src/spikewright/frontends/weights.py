"""Weights without a model: state dicts, checkpoints and files of them, which cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikewright._base.arrays import is_array

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pkl", ".pickle")
"""Suffixes of files that hold weights, or pickles; none is opened."""


def instead_of_weights(model: Any) -> str | None:
    """Advice for weights without a model, in sentences; None for anything else."""
    if isinstance(model, str | Path):
        path = Path(model)
        if path.suffix.lower() not in SUFFIXES:
            return None
        loading = f"torch.load({path.name!r}, weights_only=True)"
        if path.suffix.lower() == ".safetensors":
            loading = f"safetensors.torch.load_file({path.name!r})"
        return (
            f"{path}: a file of this kind holds weights, or a pickle, which is never opened, since "
            f"files must run no code. {_build(loading)}"
        )
    if isinstance(model, Mapping) and _holds_arrays(model):
        return f"a {type(model).__name__} of arrays holds weights and no model. {_build('weights')}"
    return None


def _build(weights: str) -> str:
    return (
        f"Build the model first, model.load_state_dict({weights}), and give it with an "
        "example_input, or save it with torch.export.save as a .pt2 file."
    )


def _holds_arrays(values: Mapping[Any, Any]) -> bool:
    """Whether there are arrays in it, also inside, as checkpoints have them."""
    return any(
        is_array(value) or (isinstance(value, Mapping) and _holds_arrays(value))
        for value in values.values()
    )
