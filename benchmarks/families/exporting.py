"""Networks as the exporters of PyTorch and of Keras write them in ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchmarks.families.member import ONLY, Member


def torch_file(module: Any, member: Member, folder: Path) -> Path:
    """A file of PyTorch's exporter, for any number of samples, or else for one."""
    import torch

    try:
        return _written(module, member, folder, 2, {0: torch.export.Dim.DYNAMIC})
    except torch.onnx.OnnxExporterError:
        return _written(module, member, folder, 1, {})


def _written(module: Any, member: Member, folder: Path, batch: int, axes: dict[int, Any]) -> Path:
    import torch

    path = folder / "network.onnx"
    given = {name: torch.from_numpy(x) for name, x in member.arrays(batch).items()}
    alone = [given.pop(ONLY)] if ONLY in given else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates parts of itself
        torch.onnx.export(
            module,
            tuple(alone),
            path,
            kwargs=given,
            dynamic_shapes=(axes,) if alone else dict.fromkeys(given, axes),
            dynamo=True,
            verbose=False,
        )
    return path


def keras_file(model: Any, member: Member, folder: Path) -> Path:
    """A file of Keras's exporter, for any number of samples, or else for one."""
    import torch

    path = folder / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(member.samples(1))  # the exporter wants a model that has been called
        try:
            model.export(path, format="onnx", verbose=False)
        except torch.onnx.errors.OnnxExporterError:
            model.export(path, format="onnx", verbose=False, input_signature=[_one(model)])
    return path


def _one(model: Any) -> Any:
    """The signature of a model for one sample."""
    from spikewright.frontends.keras.loading import import_keras

    keras = import_keras()
    return keras.tree.map_structure(
        lambda x: keras.InputSpec(shape=(1, *x.shape[1:]), dtype=x.dtype), model.input
    )
