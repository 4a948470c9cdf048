"""Networks as the exporters of PyTorch and of Keras write them in ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchmarks.families.member import Member


def torch_file(module: Any, member: Member, folder: Path) -> Path:
    """A file of PyTorch's exporter, for any number of samples, or else for one."""
    import torch

    try:
        return _written(module, member, folder, 2, {0: torch.export.Dim.DYNAMIC})
    except torch.onnx.OnnxExporterError:
        return _written(module, member, folder, 1, {})


def _written(module: Any, member: Member, folder: Path, batch: int, axes: dict[int, Any]) -> Path:
    import torch

    path, x = folder / "network.onnx", torch.from_numpy(member.samples(batch))
    name = member.argument
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates parts of itself
        torch.onnx.export(
            module,
            () if name else (x,),
            path,
            kwargs={name: x} if name else {},
            dynamic_shapes={name: axes} if name else (axes,),
            dynamo=True,
            verbose=False,
        )
    return path


def keras_file(model: Any, member: Member, folder: Path) -> Path:
    """A file of Keras's exporter, for any number of samples, or else for one."""
    import torch

    from spikewright.frontends.keras.importing import import_keras

    path, one = folder / "network.onnx", import_keras().InputSpec(shape=(1, *member.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(member.samples(1))  # the exporter wants a model that has been called
        try:
            model.export(path, format="onnx", verbose=False)
        except torch.onnx.errors.OnnxExporterError:
            model.export(path, format="onnx", verbose=False, input_signature=[one])
    return path
