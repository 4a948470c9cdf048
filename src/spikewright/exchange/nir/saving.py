"""Networks written as NIR."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from spikewright._base.arguments import is_whole
from spikewright._base.files import check_target, file_kind, head_and_tail, write_file
from spikewright._base.optional import require
from spikewright._base.options import suggests_keywords
from spikewright.engines import step_for
from spikewright.errors import MissingExtraError, NetworkError, ReadError
from spikewright.exchange.nir.dialects import WRITER, dialect_of, require_reset
from spikewright.exchange.nir.reading import read_flat
from spikewright.exchange.nir.writing import graph_of
from spikewright.exchange.ports import ports_of

_HDF5 = b"\x89HDF\r\n\x1a\n"


def _is_ours(path: Path) -> bool:
    """True for a NIR file whose metadata name this package as its writer."""
    if not head_and_tail(path)[0].startswith(_HDF5):
        return False
    try:
        return bool(read_flat(path).metadata.get("writer") == WRITER)
    except (ReadError, MissingExtraError):
        return False


KIND = file_kind("a NIR file that Spikewright wrote", _is_ours)
"""The kind of file that `save` writes; NIR files of other writers are of another."""


@suggests_keywords()
def save(
    model: Any,
    path: str | Path,
    dialect: str = "portable",
    *,
    dt: float | None = None,
    steps: int | None = None,
    reset: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a conversion or a network as a NIR file, for the reader that `dialect` names.

    The unit of time is one step, of `dt` seconds here (default: the network's `dt`, else 1 ms); the
    file states both, so that `load` needs no `dt`. Thresholds, heights of spikes, scales and `dt`
    are multiplied into weights and biases, so that every neuron has threshold 1 and resistance 1;
    arrays are in single precision, channels first. That rounds where a product of a scale and `dt`
    is no power of two; the graph's metadata names the nodes. Metadata also state what NIR cannot
    say: the reset by subtraction, the initial voltage and the spikes a step. With `steps` the
    initial voltage is a bias instead, one that adds it up in a run of `steps` steps. Where a reader
    counts time by another rule, time constants and weights are such that it decays the same. Where
    a spike leaves another voltage in the reader than here, neurons are refused; with `reset` "zero"
    or "subtract" the reader may have that one. A NIR file that was saved here is replaced, any
    other file only with `overwrite`.

    Raises `ExchangeError` for layers that NIR or the dialect cannot say: it lists each with what
    would help. Raises `NetworkError` for arguments that fit nothing, `ExistingFileError` for a file
    that is not replaced, `OSError` where none can be written, and `MissingExtraError` without the
    package `nir`.
    """
    require("nir")
    reader = dialect_of(dialect)
    target = check_target(path, KIND, overwrite=overwrite)
    if steps is not None and not (is_whole(steps) and steps >= 1):
        raise NetworkError(f"steps must be a whole number from 1, got {steps!r}")
    require_reset(reset)
    ports = ports_of(model)
    step = step_for(ports.network, dt, NetworkError)
    if not ports.inputs:
        raise NetworkError(
            f"{model!r}: it has no input, and NIR needs one. Give it a constant node, whose values "
            "a run may replace"
        )
    once = [name for name, node in ports.inputs.items() if node.at_once > 1]
    if once and ports.lowered is None:  # of a conversion the neurons say why
        raise NetworkError(
            f"inputs {once} give what several steps bring at once (at_once), which NIR cannot say. "
            "Make these nodes without at_once"
        )
    graph = graph_of(ports, reader, step, steps, reset)
    write_file(target, as_bytes(graph), KIND, overwrite=overwrite)


def as_bytes(graph: Any) -> bytes:
    """The bytes of a file that readers of older versions of the format take too.

    Those know no `v_reset`, whose absence means zeros to the others.
    """
    content = io.BytesIO()
    require("nir").write(content, graph)
    with require("h5py").File(content, "r+") as file:
        for node in file["node/nodes"].values():
            if "v_reset" in node and not node["v_reset"][()].any():
                del node["v_reset"]
    return content.getvalue()
