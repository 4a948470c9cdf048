"""NIR files that are damaged or hostile: one clear error, in bounded time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import DamagedFileError

nir = pytest.importorskip("nir")


def _saved(path: Path) -> Path:
    rng = np.random.default_rng(1)
    graph = nir.NIRGraph.from_list(
        nir.Affine(rng.normal(size=(3, 4)), rng.normal(size=3)), nir.IF(np.ones(3), np.ones(3))
    )
    nir.write(path, graph)
    return path


def _set(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value

    return change


def _linked(file: h5py.File) -> None:
    file["node/nodes/affine/weight2"] = h5py.ExternalLink("/etc/passwd", "/x")


def _huge(file: h5py.File) -> None:
    del file["node/nodes/affine/weight"]
    file.create_dataset(
        "node/nodes/affine/weight", (1 << 20, 1 << 20), "f8", chunks=(64, 64), compression="gzip"
    )


NODES = "node/nodes/"
CHANGES = {
    "has no weight": _set(NODES + "affine/weight", None),
    "weights of shape": _set(NODES + "affine/weight", np.ones(3)),
    "no finite numbers": _set(NODES + "affine/bias", np.array([1.0, np.nan, 2.0])),
    "holds no finite numbers": _set(NODES + "affine/bias", "text"),
    "bias of shape": _set(NODES + "affine/bias", np.ones(7)),
    "different shapes": _set(NODES + "if/r", np.ones(5)),
    "does not fit": _set(NODES + "affine/weight", np.ones((3, 9))),
    "gets": _set(NODES + "input/shape", np.array([2, 2, 9])),
    "which is no shape": _set(NODES + "input/shape", np.array([-4])),
    "does not say its type": _set(NODES + "affine/type", None),
    "without a NIR graph": _set("node", None),
    "no pairs of names": _set("node/edges", np.ones((2, 3))),
    "no such end": _set("node/edges", [[b"input", b"nowhere"]]),
    "twice": _set("node/edges", [[b"input", b"affine"]] * 2),
    "has a weight without values": _set(NODES + "affine/weight", np.zeros((0, 4))),
    "is a dataset without values": _set(NODES + "affine/bias", h5py.Empty("f4")),
    "node 'input' of shape": _set(NODES + "input/shape", np.array([2**62])),
    "lies elsewhere": _linked,
    "claims": _huge,
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_changed_file(message: str, tmp_path: Path) -> None:
    """The error names the file, the node and what is wrong with it."""
    path = _saved(tmp_path / "net.nir")
    with h5py.File(path, "r+") as file:
        CHANGES[message](file)
    with pytest.raises(DamagedFileError, match=message) as caught:
        sw.nir.load(path, 1e-3)
    assert str(path) in str(caught.value)


def test_bytes_that_are_changed_anywhere(tmp_path: Path) -> None:
    """Each load ends: with a network, or with an error of the project."""
    content = _saved(tmp_path / "net.nir").read_bytes()
    rng = np.random.default_rng(2)
    ends = []
    for _ in range(6):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 40):
            changed[place] = rng.integers(256)
        (tmp_path / "bad.nir").write_bytes(bytes(changed))
        try:
            sw.nir.load(tmp_path / "bad.nir", 1e-3)
            ends.append("read")
        except sw.errors.SpikewrightError:
            ends.append("refused")
    assert "refused" in ends


def test_no_file_and_no_hdf5(tmp_path: Path) -> None:
    """A missing file, and one that is no HDF5."""
    with pytest.raises(FileNotFoundError, match="no such file"):
        sw.nir.load(tmp_path / "net.nir", 1e-3)
    (tmp_path / "net.nir").write_bytes(b"nothing")
    with pytest.raises(DamagedFileError, match="not a readable HDF5 file"):
        sw.nir.load(tmp_path / "net.nir", 1e-3)


def test_importing_the_package_imports_no_nir() -> None:
    """It is imported where a file is written or read."""
    code = "import sys, spikewright as sw; sw.nir.save; print('nir' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
