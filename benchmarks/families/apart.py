"""One network in a process of its own, within bounds of time and memory: its end is no other's."""

from __future__ import annotations

import multiprocessing
import os
import re
import textwrap
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

LONGEST = 600  # seconds for one network
SPARE = 60  # seconds more of its processor's time, after which it ends by itself
MOST = 9 << 30  # bytes of its own that its process may have
IMPORTED = [
    "spikewright", "torchvision", "timm", "transformers.modeling_utils", "keras", "onnxruntime",
    "torch._dynamo", "torch.export._trace", "torch.onnx._internal.exporter._core",
]  # fmt: skip

LONGEST_REASON = 300  # characters; some errors list thousands of symbols
FAILED = "failed"
Row = dict[str, Any]


def apart(work: Callable[[str], Row], key: str, longest: int = LONGEST, most: int = MOST) -> Row:
    """The row that `work(key)` gives, or one that says how it failed.

    Processes are copies of one that has imported everything, which takes longer than most networks.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, work, key, longest, most))
    process.start()
    theirs.close()
    try:
        if not ours.poll(longest):
            return {"outcome": FAILED, "why": f"not done in {longest} s"}
        row: Row = ours.recv()
        return row
    except EOFError:
        process.join()
        return {"outcome": FAILED, "why": f"its process ended with exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def _send(
    answer: Connection, work: Callable[[str], Row], key: str, longest: int, most: int
) -> None:
    """Do it unheard: exporters print, also from libraries in C++."""
    import resource  # here, so that the rest can be read where there are no such limits

    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    # Where nobody is left to wait. Who waits ends it first, also on a busy machine.
    resource.setrlimit(resource.RLIMIT_CPU, (longest + SPARE, longest + SPARE))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        row = work(key)
    except Exception as error:
        row = {"outcome": FAILED, "why": sentence(error)}
    answer.send(row)


def sentence(error: BaseException) -> str:
    """The first line of the error that is behind all others."""
    while error.__cause__ is not None:
        error = error.__cause__
    first, *_ = str(error).strip().splitlines() or [""]
    message = textwrap.shorten(without_places(first), LONGEST_REASON, placeholder=" ...")
    return f"{type(error).__name__}: {message}"


def without_places(text: str) -> str:
    """A text about files of a library, from the library on: where it is on this machine is left."""
    return re.sub(r"[^\s\[(]*/site-packages/", "", text)
