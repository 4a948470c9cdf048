"""Files that hang HDF5, or declare more than they hold: refused in time, with nothing allocated."""

from __future__ import annotations

import base64
import io
import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import pytest
from keras_damage import READING, USE, changed, dense_file
from keras_helpers import keras

from hostile import verdicts
from spikewright._base import hdf5 as _hdf5
from spikewright._base.optional import require
from spikewright.errors import DamagedFileError, UnsupportedLayerError
from spikewright.frontends.keras import read

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about formats it calls legacy

TINY = (
    "c-rlm%}N6?5XWbdT?wVdEeQSa;68$S@+!8v2eG0adQ-"
    "7#1+@<#;&pu!k3NP+k3NQPP&dh>ZuZ~@itOV2VEJz{*(8Mj1UkJ>dYg?}w+0%eAb<$+Oo@8zw_W^*6iHLk2jTjqiM6"
    "ReqWNQK+hgiK*z5Q8=xG7BPBLdz0rMY8`s=$|hch2po`gT{xZua+hwC<JrJ}FvG&4d27BW{}O-84ehbNQkvx{@x-"
    "$68AMzg&rZ(ky3W;73adE(Z6q&#^Jzm_La$7-"
    "7`!+E0bS<=_gA2(ViT_Iid^JeXv>+bIidfLJ6eom!7U(v@*IoR45Y-"
    "8?1_3o#Pn_GYU%RHYM!!QiPFbu;m48v3ngwX!xN7uHMLqzoI0ZwHW*YC}E2?Em-"
    "LrX#Hj^ZIG6Bk05PZZ53(Uqct!Vc0>orkSs$@l*mJ}IQSI`pvn@i;flc#(beyS@r4;j6zp4^@ftU>K%cyaA}!S1t"
)
"""A whole HDF5 file of four objects, compressed."""


def tiny(place: int = 0, byte: int = 0x89) -> bytes:
    """The small file with one byte changed; as it is written here, that byte is the first."""
    content = bytearray(zlib.decompress(base64.b85decode(TINY)))
    content[place] = byte
    return bytes(content)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("place", "byte", "reason"),
    [
        pytest.param(2096, 152, "did not end within", marks=pytest.mark.slow),
        (857, 54, "not a readable"),
    ],
)
def test_what_hangs_or_kills_hdf5_is_a_damaged_file(
    place: int,
    byte: int,
    reason: str,
    inside: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One byte of it is wrong, in a legacy file and in the weights of an archive."""
    if "did not end" in reason:  # the others end by themselves, on a busy machine later
        monkeypatch.setattr(_hdf5, "SECONDS", 4.0)
    if inside:
        path = changed(dense_file(tmp_path), {"model.weights.h5": tiny(place, byte)})
    else:
        (path := tmp_path / "model.h5").write_bytes(tiny(place, byte))
    begin = time.monotonic()
    with pytest.raises(DamagedFileError, match=rf"{path.name}: .*{reason}"):
        read(path)
    assert time.monotonic() - begin < 60


def test_the_small_file_is_whole_but_for_that_byte() -> None:
    """As it is written here it can be read, to its end."""
    with h5py.File(io.BytesIO(tiny()), "r") as file:
        assert set(file["a"]) == {"d0", "d1", "d2"}


@pytest.mark.slow
def test_declared_sizes_are_bounded_by_the_weights_that_are_there(tmp_path: Path) -> None:
    """Small files that declare half a billion weights are refused at once, by their number."""
    paths = [dense_file(tmp_path, suffix, units=10**8) for suffix in (".keras", ".h5")]
    found = verdicts(READING, USE, paths, seconds=20, memory=4 << 30)
    assert [told.kind for told in found] == ["DamagedFileError"] * 2
    assert all("declares 500000000 weights, and the file holds 15" in t.message for t in found)


def test_what_was_refused_is_not_allocated_later(tmp_path: Path) -> None:
    """Keras allocates what waits for it when it next leaves a scope: nothing waits any more."""
    with pytest.raises(DamagedFileError, match="declares"):
        read(dense_file(tmp_path, units=10**8))
    state = require("keras.src.backend.common.global_state")
    assert not state.get_global_attribute("uninitialized_variables", [])
    assert read(dense_file(tmp_path)).graph["dense"].layer.weight.shape == (3, 4)


def hostile_weights(kind: str, path: Path) -> None:
    """Weights of which a part is not in the file, or claims to be larger than it."""
    with h5py.File(path, "w") as file:
        if kind == "elsewhere":
            file["layers"] = h5py.ExternalLink("other.h5", "/")
        elif kind == "raw":
            file.create_dataset("a", (4,), "f4", external=[("secret", 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
            file.create_virtual_dataset("a", layout)
        elif kind == "huge":
            file.create_dataset("a", (10**6, 10**6), "f4", chunks=(10, 10))
        else:
            file["a/b"] = h5py.SoftLink("/a") if kind == "soft" else file.create_group("a")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("elsewhere", "'layers' lies elsewhere"),
        ("raw", "/a lie elsewhere"),
        ("virtual", "/a lie elsewhere"),
        ("huge", r"claims \(1000000, 1000000\) values"),
        ("soft", "'b' lies elsewhere"),
        ("circle", "more than 64 deep"),
    ],
)
def test_weights_are_in_the_file_itself(kind: str, reason: str, tmp_path: Path) -> None:
    """Nothing is followed out of it, in circles, or to more than it can hold."""
    hostile_weights(kind, weights := tmp_path / "weights.h5")
    path = changed(dense_file(tmp_path), {"model.weights.h5": weights.read_bytes()})
    with pytest.raises(DamagedFileError, match=reason):
        read(path)


def test_names_that_cannot_be_printed_are_damage(tmp_path: Path) -> None:
    """Half a character in a name would break whatever prints it."""
    with pytest.raises(DamagedFileError, match="surrogates not allowed"):
        read(dense_file(tmp_path, name="\ud800"))


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.CategoryEncoding(10**6),
        keras.layers.Discretization([float(n) for n in range(10**5)], output_mode="count"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_readers_make_is_counted(layer: Any, tmp_path: Path) -> None:
    """A file of few bytes may ask for a matrix of any size: it is refused before it is made."""
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(path := tmp_path / "model.keras")
    with pytest.raises(UnsupportedLayerError, match="values, which take"):
        read(path)
