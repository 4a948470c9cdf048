"""PyTorch models in: live modules, `torch.export` programs and `.pt2` files.

Every model is read from the operators of its exported program, so a module is read whatever
its Python code looks like. One decorator and one function::

    import torch
    from spikewright.frontends.pytorch import TorchCall, Value, reads
    from spikewright.graph.layers import Activation

    @torch.library.custom_op("mine::bounded", mutates_args=())
    def bounded(x: torch.Tensor, limit: float) -> torch.Tensor:
        return x.clamp(-limit, limit)

    @bounded.register_fake
    def _(x: torch.Tensor, limit: float) -> torch.Tensor:
        return torch.empty_like(x)

    @reads("mine.bounded.default")
    def read_bounded(call: TorchCall) -> Value:
        limit = call["limit"]
        layer = Activation("clip", {"minimum": -limit, "maximum": limit})
        return call.add(layer, call.value("x"))

reads an operator of your own, or one of PyTorch's that the library does not know. `call` holds the
operator's arguments by name, `call.value` those that depend on the input, `call.array` the
constants. `call.add` and `call.chain` add layers of the graph, of one sample: without the first
axis of extent one that values of a program have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikewright._base.files import file_at
from spikewright._base.optional import require as _require

_require("torch")

from spikewright.frontends.pytorch import (  # noqa: E402  (these modules register their readers)
    activation,
    arithmetic,
    choosing,
    extent,
    recurrent,
    reductions,
    windows,
)
from spikewright.frontends.pytorch.exporting import quiet  # noqa: E402
from spikewright.frontends.pytorch.files import read_file  # noqa: E402
from spikewright.frontends.pytorch.modules import read_module, read_program  # noqa: E402
from spikewright.frontends.pytorch.registry import READERS, TorchCall, reads  # noqa: E402
from spikewright.frontends.reading.call import UnsupportedOp, Value  # noqa: E402
from spikewright.frontends.source import Source  # noqa: E402

__all__ = ["READERS", "TorchCall", "UnsupportedOp", "Value", "read", "reads"]


def read(model: Any, example_input: Any = None, outputs: Sequence[str] | None = None) -> Source:
    """Read a PyTorch model.

    `model` is a `torch.nn.Module`, a `torch.export.ExportedProgram`, or a path to a `.pt2` file. A
    module is traced in evaluation mode and left as it was; that needs `example_input`: an array or
    tensor `(batch, *shape)`, or the arguments of forward, as a list, a tuple, a dict by their
    names, or any structure in them. Its first sample is traced, and the module is called with two
    samples at once and with each alone: one that mixes samples is refused. Programs and files bring
    their shapes along, and `example_input` says how long their axes of free size are; one of
    several samples is read as of one, and compared with it. `outputs`
    names outputs or layers that become the outputs; layers that these do not need are cut.

    The activations of the returned source come from running the program in PyTorch with the
    weights that the module has at that time.

    Raises `ReadError` for a missing or unusable example input or a module that cannot be traced,
    and `UnsupportedLayerError` listing every layer that cannot be read. Raises `DamagedFileError`
    for a damaged file, and `GraphError` naming a layer whose weights are not finite.
    """
    with quiet():
        if isinstance(model, str | Path):
            return read_file(file_at(model), outputs, example_input)
        if hasattr(model, "graph_signature"):
            return read_program(model, outputs, example_input=example_input)
        return read_module(model, example_input, outputs)
